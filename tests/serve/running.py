"""A server of tiny models on a free port of 127.0.0.1, and small clients of it."""

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from humanvlm.serve.chat import Serving
from humanvlm.serve.engine import Engine
from humanvlm.serve.keys import Keys
from humanvlm.serve.limits import Limits
from humanvlm.serve.models import Source, loader
from humanvlm.serve.run import listen, make_server

NAME = "tiny"
LIMITS, NO_KEYS = Limits(), Keys()


@dataclass(frozen=True)
class Running:
    """port: of 127.0.0.1. serving: what the routes share. server: uvicorn's."""

    port: int
    serving: Serving
    server: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def engine(self) -> Engine:
        return self.serving.engines[NAME]

    def ask(
        self,
        body: Any,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        path: str = "/v1/chat/completions",
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, body (as JSON where it is), and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json"} | dict(headers or {}))
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(said) if said[:1] == b"{" else said.decode(), found


@contextmanager
def running(
    folder: Path, limits: Limits = LIMITS, keys: Keys = NO_KEYS, *, load: Any = None, fetching: Any = None
) -> Iterator[Running]:
    """Until the block ends; the model is loaded when it begins."""
    engine = Engine(load or loader(Source(NAME, folder), limits), limits.slots, limits.waiting)
    serving = Serving({NAME: engine}, limits, keys)
    server = make_server(serving, fetching)
    listening = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while load is None and engine.loaded is None and engine.failure is None and thread.is_alive():
        time.sleep(0.01)
    try:
        yield Running(listening.getsockname()[1], serving, server)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


def png(seed: int = 0, side: int = 40) -> bytes:
    """A picture of noise."""
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def body(prompt: str = "Hi", picture: bytes | None = None, **more: Any) -> dict[str, Any]:
    """A request of one turn; the fields of ``more`` replace and add."""
    words: dict[str, Any] = {"type": "text", "text": prompt}
    shown = [{"type": "image_url", "image_url": {"url": data_url(picture)}}] if picture else []
    return {"model": NAME, "messages": [{"role": "user", "content": [*shown, words]}], "max_tokens": 8} | more


def events(said: str) -> list[Any]:
    """What a streamed answer holds, the last a text."""
    assert said.endswith("\n\n")
    lines = [block.removeprefix("data: ") for block in said.removesuffix("\n\n").split("\n\n")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
