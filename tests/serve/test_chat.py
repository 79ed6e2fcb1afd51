"""What goes wrong with a request: each fault has its status, and the server goes on."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from humanvlm.serve.conversation import Turn
from humanvlm.serve.decoding import Rows
from humanvlm.serve.limits import Limits
from humanvlm.serve.words import Words
from humanvlm.serve.writing import Job

from .running import NAME, Running, body, data_url, events, png, running


def shown(url: str) -> dict[str, Any]:
    """A request with a picture at this address."""
    return body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])


def raw(server: Running, sent: bytes) -> socket.socket:
    """A connection over which this was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(sent)
    return connection


def head(length: int, *more: str) -> bytes:
    lines = ("POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", *more)
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def whole(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    said = b""
    while part := connection.recv(1 << 16):
        said += part
    return said


def until(true: Any) -> None:
    """Wait for what must come."""
    while not true():
        time.sleep(0.005)


@contextmanager
def held(server: Running, tokens: int = 1) -> Iterator[threading.Semaphore]:
    """The engine, busy with a reply of its own, which goes on by a word whenever the semaphore is released; at the end
    it is let go."""
    gate, loaded, on = threading.Semaphore(0), server.engine.loaded, threading.Event()
    assert loaded is not None
    prompt = loaded.reader.read([Turn("user", "Hi")], [], loaded.context)

    def tell(_: Any) -> None:
        on.set()
        gate.acquire()

    server.engine.submit(Job(prompt, tokens, tell))
    on.wait(60)
    try:
        yield gate
    finally:
        gate.release(10_000)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"model": "tiny", "messages": [{"role": "robot", "content": "Hi"}]}', 400, "invalid_value"),
        (body(model="gpt-4o"), 404, "model_not_found"),
        (body(max_tokens=100_000), 400, "max_tokens_exceeded"),
        (body("word " * 5_000), 400, "context_length_exceeded"),
        (body("w" * 1_000_000), 400, "context_length_exceeded"),
        (shown("https://example.org/a.jpg"), 400, "invalid_image_url"),
        (shown("HTTP://127.0.0.1/a.jpg"), 400, "invalid_image_url"),
        (shown("file:///etc/passwd"), 400, "invalid_image_url"),
        (shown("data:image/png;base64,@@@@"), 400, "invalid_base64_image"),
        (shown("data:image/png;base64,AAA"), 400, "invalid_base64_image"),
        (shown("data:image/png;base64,"), 400, "invalid_image"),
        (shown(data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>")), 400, "invalid_image"),
        (shown(data_url(png()[:-40])), 400, "invalid_image"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(tiny_server: Running, content: Any, status: int, code: str) -> None:
    found, told, headers = tiny_server.ask(content)
    assert (found, told["error"]["code"]) == (status, code)
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert "\n" not in told["error"]["message"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_of_another_type_is_none(tiny_server: Running) -> None:
    assert tiny_server.ask(body(), {"Content-Type": "text/plain"})[0] == 415  # what a page elsewhere can send unasked


def test_a_huge_body_is_not_read(folder: Path) -> None:
    with running(folder, Limits(body_bytes=1000)) as server:
        announced = raw(server, head(10**15))  # and nothing of it
        assert whole_head(announced).startswith(b"HTTP/1.1 413")
        chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        assert whole_head(raw(server, chunked + b"800\r\n" + b" " * 0x800)).startswith(b"HTTP/1.1 413")
        assert server.ask(body())[0] == 200


def whole_head(connection: socket.socket) -> bytes:
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(1 << 16)
    return said


def test_bodies_together_have_bounded_memory(folder: Path) -> None:
    with running(folder, Limits(bodies_bytes=5000)) as server:
        slow = raw(server, head(6000) + b" " * 4000)
        until(lambda: server.serving.room.used == 4000)
        status, told, headers = server.ask(body("Hi " * 1000))
        assert (status, told["error"]["code"], headers["retry-after"]) == (503, "overloaded", "2")
        slow.close()
        until(lambda: server.serving.room.used == 0)
        assert server.ask(body())[0] == 200


def test_a_picture_of_too_many_pixels_is_refused(folder: Path) -> None:
    with running(folder, Limits(pixels=2000)) as server:
        status, told, _ = server.ask(shown(data_url(png(side=50))))
        assert (status, told["error"]["code"]) == (413, "image_too_large")
        assert server.ask(body(picture=png(side=20)))[0] == 200


def test_of_an_animation_the_first_frame_is_seen(tiny_server: Running) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    still, moving = BytesIO(), BytesIO()
    frames[0].save(still, "PNG")
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    answers = [tiny_server.ask(shown(data_url(one.getvalue()))) for one in (still, moving)]
    assert [answer[0] for answer in answers] == [200, 200]
    first, second = (answer[1]["choices"][0]["message"]["content"] for answer in answers)
    assert first == second


def test_odd_pictures_are_answered_or_refused(tiny_server: Running, shared: Path) -> None:
    files = sorted(path for path in (shared / "nasty").rglob("*") if path.is_file() and path.stat().st_size < 2**20)
    statuses = {tiny_server.ask(shown(data_url(path.read_bytes())) | {"max_tokens": 1})[0] for path in files}
    assert {200, 400} <= statuses <= {200, 400, 413}
    assert tiny_server.ask(body())[0] == 200


def test_a_full_line_says_when_to_come_again(folder: Path) -> None:
    with running(folder, Limits(slots=1, waiting=1)) as server:
        found: list[int] = []
        with held(server):
            waiting = threading.Thread(target=lambda: found.append(server.ask(body())[0]))
            waiting.start()
            until(lambda: server.engine.waiting == 1)
            status, told, headers = server.ask(body())
            assert (status, told["error"]["type"], headers["retry-after"]) == (503, "server_busy", "5")
        waiting.join(60)
        assert found == [200]


def test_whoever_asks_too_often_waits(folder: Path) -> None:
    with running(folder, Limits(per_minute=2)) as server:
        statuses = [server.ask(body(max_tokens=1)) for _ in range(3)]
        assert [answer[0] for answer in statuses] == [200, 200, 429]
        assert 1 <= int(statuses[2][2]["retry-after"]) <= 30


def test_a_client_that_leaves_the_line_is_forgotten(folder: Path) -> None:
    with running(folder, Limits(slots=1)) as server:
        content = json.dumps(body()).encode()
        with held(server):
            connection = raw(server, head(len(content)) + content)
            until(lambda: server.engine.waiting == 1)
            read = server.engine.counts.prompt_tokens
            connection.close()
            until(lambda: server.serving.metrics.requests["/v1/chat/completions", 499] == 1)
        until(lambda: server.engine.waiting == 0 and server.engine.running == 0)
        assert server.engine.counts.prompt_tokens == read


def test_a_stream_that_nobody_reads_any_more_ends(folder: Path) -> None:
    with running(folder) as server, held(server, 400) as gate:
        content = json.dumps(body("Describe", png(1), max_tokens=400, stream=True, temperature=2)).encode()
        connection = raw(server, head(len(content)) + content)
        while server.engine.running < 2:
            gate.release()
            time.sleep(0.005)
        assert b"text/event-stream" in whole_head(connection)
        connection.close()
        while server.engine.running == 2:
            gate.release()
            time.sleep(0.005)
        assert server.engine.counts.reply_tokens < 700


def test_what_is_under_way_is_finished_when_the_server_stops(folder: Path) -> None:
    with running(folder, Limits(slots=1)) as server:
        answers: list[Any] = []
        with held(server):
            waiting = threading.Thread(target=lambda: answers.append(server.ask(body("Describe"))))
            waiting.start()
            until(lambda: server.engine.waiting == 1)
            server.server.should_exit = True
            until(lambda: not listening(server))
        waiting.join(60)
        assert answers[0][0] == 200


def listening(server: Running) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_cannot_be_finished_in_time_is_told(folder: Path) -> None:
    with running(folder, Limits(slots=1, grace_s=1)) as server, held(server):
        content = json.dumps(body()).encode()
        connection = raw(server, head(len(content)) + content)
        until(lambda: server.engine.waiting == 1)
        server.server.should_exit = True
        assert not whole(connection).startswith(b"HTTP/1.1 200")


def test_a_failing_step_costs_its_replies_only(tiny_server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Rows, "step", lambda self, tokens: 1 / 0)
        status, told, _ = tiny_server.ask(body("Describe the picture.", png(3)))
        assert (status, told["error"]["type"]) == (500, "server_error")
        _, said, _ = tiny_server.ask(body("Describe the picture.", png(3), stream=True))
        assert '"server_error"' in said.splitlines()[-2]
        assert "[DONE]" not in said
    with monkeypatch.context() as broken:
        broken.setattr(Rows, "join", lambda self, prompt: 1 / 0)
        assert tiny_server.ask(body())[0] == 500
    assert tiny_server.ask(body())[0] == 200


def test_another_name_for_this_machine_is_not_answered(tiny_server: Running) -> None:
    for host, status in (("localhost", 200), ("[::1]:80", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421)):
        assert tiny_server.ask(None, {"Host": host}, "GET", "/v1/models")[0] == status


def test_boxes_come_as_data(tiny_server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(words: Words, token: int) -> str:
        words.tokens.append(token)
        return "hat [10, 20, 50, 60]" if len(words.tokens) == 1 else ""

    monkeypatch.setattr(Words, "add", add)
    monkeypatch.setattr(Words, "end", lambda words: "")
    asked = body("Where?", png(side=100))
    told = {"image_size": [120, 100], "boxes": [{"label": "hat", "xyxy": [12, 20, 60, 60]}], "keypoints": []}
    assert tiny_server.ask(asked)[1]["humanvlm"] == told
    assert events(tiny_server.ask(asked | {"stream": True})[1])[-2]["humanvlm"] == told
    assert "humanvlm" not in tiny_server.ask(body("Where?"))[1]


def test_a_name_is_the_models(tiny_server: Running) -> None:
    told = tiny_server.ask(body())[1]
    assert (told["model"], told["system_fingerprint"][:7]) == (NAME, "sha256-")
