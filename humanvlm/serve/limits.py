"""How much a client may ask for, and for how long."""

from dataclasses import dataclass, field
from typing import Any


def _limit(default: float, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Limits:
    """Of one server; each is an option of ``humanvlm serve``."""

    body_bytes: int = _limit(20_000_000, "of a request, and of a remote picture")
    bodies_bytes: int = _limit(400_000_000, "of all requests that are being read or prepared")
    pixels: int = _limit(50_000_000, "of a picture")
    pictures: int = _limit(4, "of a request")
    reply_tokens: int = _limit(1024, "of a reply; where a request does not say, too")
    context_tokens: int = _limit(4096, "of prompt, pictures and reply together, or as many as the model reads")
    slots: int = _limit(16, "replies that are written at once")
    waiting: int = _limit(256, "requests in line for a slot")
    per_minute: int = _limit(0, "requests of a key, or of an address where there are no keys; 0: any number")
    connections: int = _limit(1000, "at once")
    head_s: float = _limit(10, "seconds for the head of a request")
    body_s: float = _limit(60, "seconds for its body")
    fetch_s: float = _limit(20, "seconds for a remote picture")
    stall_s: float = _limit(60, "seconds that a client may leave a reply unread")
    grace_s: float = _limit(30, "seconds for what is being written when the server is stopped")
