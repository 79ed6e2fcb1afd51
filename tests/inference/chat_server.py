"""An OpenAI-compatible server on loopback that can misbehave in every way a real one does."""

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = (
    "429",
    "429 date",
    "500",
    "503",
    "timeout",
    "drop",
    "truncated",
    "not json",
    "no choices",
    "no message",
    "error object",
    "not text",
    "nested",
    "empty",
)
HANG_S = 1.0
REPLY = {"model": "served-1", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


@dataclass
class Chat:
    """What the server was asked, and how it answers: ``fault(prompt, attempt)`` names a misbehaviour, or None."""

    url: str
    fault: Callable[[str, int], str | None]
    key: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    most_busy: int = 0
    pause: float = 0.0
    schemas: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[str]:
        return [prompt_of(body) for body in self.bodies]


def prompt_of(body: dict[str, Any]) -> str:
    content = body["messages"][0]["content"]
    return str(content if isinstance(content, str) else content[1]["text"])


def picture_of(body: dict[str, Any]) -> bytes:
    return base64.b64decode(body["messages"][0]["content"][0]["image_url"]["url"].partition("base64,")[2])


def text_for(body: dict[str, Any]) -> str:
    """What the server answers: it depends on prompt and picture, so that mixed-up replies would show."""
    if isinstance(body["messages"][0]["content"], str):
        return f"{prompt_of(body)} no picture"
    return f"{prompt_of(body)} {hashlib.sha256(picture_of(body)).hexdigest()[:8]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chat: Chat

    def do_POST(self) -> None:
        chat = self.chat
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = prompt_of(body)
        with chat.lock:
            chat.bodies.append(body)
            chat.times.setdefault(prompt, []).append(time.monotonic())
            attempt = len(chat.times[prompt]) - 1
            chat.busy += 1
            chat.most_busy = max(chat.most_busy, chat.busy)
        time.sleep(chat.pause)
        try:
            if chat.key and self.headers["Authorization"] != f"Bearer {chat.key}":
                self.send(401, {"error": {"message": f"Incorrect API key: {self.headers['Authorization']}"}})
            elif self.path != "/v1/chat/completions":
                self.send(404, {"error": {"message": "no such path"}})
            elif "response_format" in body and not chat.schemas:
                self.send(400, {"error": {"message": "response_format: not supported"}})
            elif fault := chat.fault(prompt, attempt):
                self.misbehave(fault, body)
            else:
                self.send(200, answer(text_for(body)))
                chat.answered[prompt] += 1
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with chat.lock:
                chat.busy -= 1

    def misbehave(self, fault: str, body: dict[str, Any]) -> None:
        whole = answer(text_for(body))
        if fault == "429":
            self.send(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
        elif fault == "429 date":
            self.send(429, {}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
        elif fault.isdigit():
            self.send(int(fault), {"error": {"message": f"no, {body['model']}"}})
        elif fault == "timeout":
            time.sleep(HANG_S)
            self.send(200, whole)
        elif fault == "drop":
            self.close_connection = True
        elif fault == "truncated":
            content = json.dumps(whole).encode()
            self.head(200, len(content) + 100)
            self.wfile.write(content[:-20])
            self.close_connection = True
        elif fault == "huge":
            self.head(200, 1 << 40)
            while True:
                self.wfile.write(b" " * (1 << 16))
        else:
            self.send(200, MALFORMED[fault])

    def send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.head(status, len(content), headers)
        self.wfile.write(content)

    def head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(length)} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def answer(text: Any, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {**REPLY, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


MALFORMED = {
    "not json": b"<html>Bad gateway</html>",
    "no choices": {**REPLY, "choices": []},
    "no message": {**REPLY, "choices": [{"finish_reason": "stop"}]},
    "error object": {"error": {"message": "upstream failed", "code": 502}},
    "not text": answer({"text": "Hi"}),
    "nested": b"[" * 100_000,
    "empty": answer(""),
    "null": answer(None),
    "cut": answer("", "length"),
    "filtered": answer(None, "content_filter"),
}


@contextmanager
def serve(fault: Callable[[str, int], str | None] = lambda prompt, attempt: None) -> Iterator[Chat]:
    """A server on a free port of 127.0.0.1 while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    chat = Chat(f"http://127.0.0.1:{server.server_port}/v1", fault)
    server.RequestHandlerClass = type("Handler", (Handler,), {"chat": chat})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
