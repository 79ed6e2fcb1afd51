"""Connections that send or read too slowly are closed."""

import json
import socket
from pathlib import Path

from humanvlm.serve.limits import Limits

from .running import Running, body, running
from .test_chat import head, raw, until, whole


def test_a_head_that_does_not_end_is_not_waited_for(folder: Path) -> None:
    with running(folder, Limits(head_s=0.3)) as server:
        assert whole(raw(server, b"")).startswith(b"HTTP/1.1 408")
        assert whole(raw(server, b"POST /v1/chat/completions HTTP/1.1\r\nX: ")).startswith(b"HTTP/1.1 408")
        again = raw(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while b"alive" not in again.recv(1 << 16):
            pass
        again.sendall(b"GET /hea")
        assert whole(again).startswith(b"HTTP/1.1 408")


def test_a_head_that_trickles_in_is_not_waited_for(folder: Path) -> None:
    with running(folder, Limits(head_s=0.3)) as server:
        connection = raw(server, b"GET / HTTP/1.1\r\n")
        assert trickled(connection, b"X: 1\r\n").startswith(b"HTTP/1.1 408")


def trickled(connection: socket.socket, part: bytes) -> bytes:
    """What a server says at last to one who sends forever."""
    connection.settimeout(0.02)
    while True:
        try:
            return connection.recv(1 << 16)
        except TimeoutError:
            connection.sendall(part)


def test_a_body_that_trickles_in_is_not_waited_for(folder: Path) -> None:
    with running(folder, Limits(body_s=0.3)) as server:
        connection = raw(server, head(10_000))
        assert trickled(connection, b" ").startswith(b"HTTP/1.1 408")
        until(lambda: server.serving.room.used == 0)


def test_a_reply_that_is_not_read_is_not_kept(folder: Path) -> None:
    with running(folder, Limits(stall_s=0.3)) as server:
        unread(server)
        until(lambda: not server.server.server_state.connections)


def unread(server: Running) -> socket.socket:
    """A connection over which more is answered than the other side takes."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.connect(("127.0.0.1", server.port))
    content = json.dumps(body(model="m" * 190)).encode()
    connection.settimeout(1)
    try:
        while True:
            connection.sendall((head(len(content)) + content) * 50)
    except OSError:
        return connection
