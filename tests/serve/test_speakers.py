"""A server that misbehaves is told in one line."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from humanvlm.errors import UserError
from humanvlm.serve.conversation import Turn
from humanvlm.serve.speakers import Picture, There, open_there
from humanvlm.serve.writing import End, Piece

PICTURE = Picture("data:image/png;base64,AA==", (60, 40), None)
HELLO = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
ENDED = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'


@contextmanager
def answering(content: bytes, status: int = 200, **headers: str) -> Iterator[str]:
    """A server that answers everything so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def told(url: str) -> list[Piece | End]:
    return list(There(url, "m").say([Turn("user", "Hi", 1)], PICTURE, 8))


def test_pieces_and_why_it_ended() -> None:
    with answering(b": comment\nevent: x\n" + HELLO * 2 + ENDED) as url:
        assert told(url) == [Piece("Hello"), Piece("Hello"), End("length", 2)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HELLO, "broke off before the answer ended"),
        (b"data: {not json\n\n", "an event that is no JSON"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "an event that is no JSON"),
        (b'data: {"error": {"message": "out of memory"}}\n\n', "out of memory; ask again"),
        (b"<html>Welcome</html>", "broke off before the answer ended"),
    ],
)
def test_streams_that_are_none(content: bytes, reason: str) -> None:
    with answering(content) as url, pytest.raises(UserError, match=reason):
        told(url)


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (429, {"Retry_After": "7"}, "HTTP 429: slow down; ask again after 7 s"),
        (500, {}, "HTTP 500: slow down; check --endpoint and --model"),
        (307, {"Location": "http://elsewhere.test/"}, "HTTP 307"),
    ],
)
def test_refusals(status: int, headers: dict[str, str], reason: str) -> None:
    said = b'{"error": {"message": "slow\\n down"}}'
    with answering(said, status, **headers) as url, pytest.raises(UserError, match=reason):
        told(url)


def test_the_first_model_unless_one_is_named() -> None:
    with answering(b'{"data": [{"id": "a"}, {"id": "b"}]}') as url:
        assert open_there(url, None).model == "a"
        assert open_there(url, "b").model == "b"
    with answering(b"[]") as url, pytest.raises(UserError, match="it lists no models; name one with --model"):
        open_there(url, None)


def test_a_key_is_not_sent_in_plain_text_over_the_web(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "secret-key-of-mine")
    with pytest.raises(UserError, match=r"^--endpoint: http://8.8.8.8/v1 would carry the key"):
        open_there("http://8.8.8.8/v1", "m", "SERVER_KEY")
