"""A chat server on loopback that rewrites as it is asked, and lies, refuses, thinks aloud or breaks down as told."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DRAFT = re.compile(r"\n\n(?P<draft>.*?)\n\nFacts that were measured", re.DOTALL)
LIES: dict[str, Callable[[str], str]] = {
    "count": lambda text: f"{text} There are five people in the picture.",
    "colour": lambda text: f"{text} The person wears a purple coat.",
    "object": lambda text: f"{text} A giraffe stands behind a piano.",
    "name": lambda text: f"{text} This is Angela Merkel.",
    "refusal": lambda text: "I'm sorry, but I can't describe people in this picture.",
    "think": lambda text: f"<think>A giraffe, perhaps? I say what I see.</think>{text}",
    "unfinished": lambda text: f"<think>{text} But then, a giraffe",
    "json": lambda text: json.dumps({"caption": text})[:-1] + ",",
    "no json": lambda text: '{"text": 3',
}
NEVER = ("five people", "purple", "giraffe", "merkel", "sorry", "think", "{")  # in a caption that stays


@dataclass
class Liar:
    """What the server was asked. lie(number) names one of LIES, an HTTP status, ``hang``, ``drop``, or None.

    says: what it replies to a prompt; where that is not given, its draft, as true as that is or as ``lie`` makes it.
    """

    url: str
    lie: Callable[[int], str | None]
    says: Callable[[str], str] | None = None
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    liar: Liar

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][0]["content"]
        prompt = content if isinstance(content, str) else content[1]["text"]
        with self.liar.lock:
            self.liar.bodies.append(body)
            number = self.liar.asked.total()
            self.liar.asked[prompt] += 1
        lie = self.liar.lie(number)
        try:
            if lie == "hang":
                time.sleep(0.6)
            if lie == "drop":
                self.close_connection = True
                return
            if lie and lie.isdigit():
                self.send(int(lie), {"error": {"message": "not now"}}, {"Retry-After": "0"})
                return
            self.send(200, reply(self.liar.says(prompt) if self.liar.says else retold(prompt, lie)))
            with self.liar.lock:
                self.liar.answered[prompt] += 1
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, said in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, said)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


def retold(prompt: str, lie: str | None) -> str:
    """The draft of a prompt as a reply, as it is or with a lie."""
    found = DRAFT.search(prompt)
    text = found["draft"] if found else "A person is in the picture."
    return LIES[lie](text) if lie in LIES else json.dumps({"caption": text})


def reply(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 100, "completion_tokens": 50}
    return {"model": "liar", "usage": usage, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@contextmanager
def serve(
    lie: Callable[[int], str | None] = lambda number: None, says: Callable[[str], str] | None = None
) -> Iterator[Liar]:
    """A server on a free port of 127.0.0.1 while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    liar = Liar(f"http://127.0.0.1:{server.server_port}/v1", lie, says)
    server.RequestHandlerClass = type("Handler", (Handler,), {"liar": liar})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield liar
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
