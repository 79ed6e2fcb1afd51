import asyncio
from itertools import pairwise
from typing import Any

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.scrape.heads import MAX_FIELDS, MAX_HEAD, MAX_LINE, Connector, Protocol, mended

BODY = b"\xff\xd8\xff a body"
ODD = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.1 200 OK\nX-A : b\nContent-Length: 10\n\n",
    b"\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: identity\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Go\r\nBad Name: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    b"ICY 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
]


async def answered(pieces: list[bytes], connector: Connector, ended: bool = True) -> tuple[int, bytes]:
    """Status and body of what comes in pieces."""
    protocol = Protocol(asyncio.get_running_loop(), connector)
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        max_headers=MAX_FIELDS,
    )
    for piece in pieces:
        protocol.data_received(piece)
    if ended:
        protocol.connection_lost(None)
    message: Any
    while True:
        message, payload = await protocol.read()
        if message.code >= 200:
            return message.code, b"" if payload.exception() else await payload.read()


def read(pieces: list[bytes]) -> tuple[int, bytes, int]:
    async def reading() -> tuple[int, bytes, int]:
        connector = Connector()
        try:
            return *await answered(pieces, connector), connector.mended
        finally:
            await connector.close()

    return asyncio.run(reading())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ODD), st.lists(st.integers(0, 140), max_size=6))
def test_an_answer_is_read_alike_however_it_arrives(head: bytes, cuts: list[int]) -> None:
    whole = head + BODY
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    pieces = [whole[low:high] for low, high in pairwise(places)]
    body = BODY if head.startswith(b"ICY") or b"close" in head else BODY[:10]
    assert read(pieces)[:2] == read([whole])[:2] == (200, body)


def test_heads_that_were_mended_are_counted() -> None:
    assert [read([head + BODY])[2] for head in ODD] == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "data",
    [
        BODY,
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 100 + b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyyyyyyyyyyy\r\n" * (MAX_HEAD // 20),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_FIELDS + 2) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (MAX_LINE + 1) + b"\r\n\r\n",
    ],
)
def test_what_is_no_head_or_too_much_of_one_is_refused(data: bytes) -> None:
    with pytest.raises(HttpProcessingError):
        read([data])


@settings(deadline=None)
@given(st.lists(st.sampled_from([*ODD, b"HTTP/1.", b"\r\n", b": ", b"\0", b"chunked", b"9", b"Content-Length:"])))
def test_a_mended_head_needs_no_mending(parts: list[bytes]) -> None:
    head = mended(b"HTTP/1.1 200 OK\r\n" + b"".join(parts) + b"\r\n\r\n")
    assert head is not None
    assert mended(head) == head
    assert head.lower().count(b"\r\ncontent-length:") + head.lower().count(b"\r\ntransfer-encoding:") <= 1
    assert read([head])[0] == 200


def test_a_head_of_very_many_lines_is_not_mended() -> None:
    assert mended(b"HTTP/1.1 200 OK\r\n" + b"a:\n" * (MAX_FIELDS - 1) + b"\r\n") is not None
    assert mended(b"HTTP/1.1 200 OK\r\n" + b"a:\n" * (MAX_FIELDS + 2) + b"\r\n") is None


def test_of_lengths_that_differ_none_is_believed() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\nContent-Length: 7\r\nETag: x\r\n\r\n"
    assert mended(head % b"7, 7") == b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 7\r\n\r\n"
    assert mended(head % b"9") == mended(head % b"many") == b"HTTP/1.1 200 OK\r\nETag: x\r\n\r\n"
    chunked = mended(head.replace(b"ETag", b"Transfer-Encoding: gzip, Chunked\r\nETag") % b"9")
    assert chunked == b"HTTP/1.1 200 OK\r\nETag: x\r\nTransfer-Encoding: chunked\r\n\r\n"
