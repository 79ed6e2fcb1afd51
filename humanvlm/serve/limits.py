"""How much a client may ask for, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one server.

    body_bytes: of a request. bodies_bytes: of all that are read at once. pixels: of a picture; pictures: of a request.
    reply_tokens: of a reply, the default where a request names none; context_tokens: of prompt, pictures and reply.
    slots: replies that are written at once. waiting: requests that wait for one. per_minute: requests of a client, or
    of a key; 0: any number. head_s, body_s, stall_s: seconds for a request's head, for its body, and that a client may
    leave a reply unread. grace_s: for what is being written when the server is stopped. connections: at once.
    """

    body_bytes: int = 20_000_000
    bodies_bytes: int = 400_000_000
    pixels: int = 50_000_000
    pictures: int = 4
    reply_tokens: int = 1024
    context_tokens: int = 4096
    slots: int = 16
    waiting: int = 256
    per_minute: int = 0
    head_s: float = 10.0
    body_s: float = 60.0
    stall_s: float = 60.0
    grace_s: float = 30.0
    connections: int = 1000
