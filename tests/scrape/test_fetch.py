import asyncio
import gc
import gzip
import random
import time
import tracemalloc
import zlib
from collections import Counter
from typing import Any

import pytest

from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.fetch import Fetched, look, open_client
from humanvlm.scrape.reasons import RefusedError

from .asking import HOST, Web, config
from .faults import gzip_bomb


def test_a_picture_arrives_as_it_was_served(web: Web) -> None:
    before = int(time.time())
    (result,) = web.get(["/ok/a.jpg"], config(user_agent="me/1"))
    assert isinstance(result, Fetched)
    assert result == Fetched(
        f"http://{HOST}/ok/a.jpg",
        200,
        web.faults.picture,
        result.time,
        "image/jpeg",
        '"x"',
        "Mon, 01 Jan 2024 00:00:00 GMT",
    )
    assert before <= result.time <= time.time()
    assert web.faults.agents == {"me/1"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/status/404", "http_404"),
        ("/status/500", "http_500"),
        ("/endless", "too_large"),
        ("/announced", "too_large"),
        ("/short", "incomplete_body"),
        ("/chunks/cut", "incomplete_body"),
        ("/chunks/garbage", "incomplete_body"),
        ("/encoded/garbage", "bad_response"),
        ("/loop/a", "redirect_loop"),
        ("/head/garbage", "bad_response"),
        ("/head/closed", "connect_error"),
        ("/head/reset", "connect_error"),
        ("/to?url=ftp://x/y", "bad_url"),
        ("http://127.0.0.1:1/x", "loopback_address"),
        ("http://localhost/x", "loopback_address"),
        ("http://0x7f000001/x", "loopback_address"),
        ("not://a/url", "bad_url"),
        ("http://" + "a" * 70 + ".test/", "bad_url"),
        ("http://nowhere.test/x", "dns_error"),
    ],
)
def test_each_failure_has_its_reason(web: Web, url: str, expected: str) -> None:
    assert web.reason(url) == expected


def test_a_slow_drip_ends_at_the_time_limit(web: Web) -> None:
    start = time.monotonic()
    assert web.reason("/drip", timeout_s=0.4, retries=5) == "timeout"
    assert time.monotonic() - start < 2


def test_an_attempt_that_the_limit_cuts_short_does_not_hide_why_the_one_before_failed(web: Web) -> None:
    times: dict[str, Any] = {"timeout_s": 0.6, "first_byte_timeout_s": 0.2}
    assert web.reason("/head/silence", retries=9, **times) == "first_byte_timeout"
    assert web.hits["/head/silence"] == 2


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("noai", "opt_out_noai"),
        ("noindex, NoImageAI", "opt_out_noai"),
        ("humanvlm: noai", "opt_out_noai"),
        ("somebot: noai", "ok"),
        ("all", "ok"),
    ],
)
def test_opting_out_is_respected(web: Web, tag: str, expected: str) -> None:
    assert web.reason(f"/header?X-Robots-Tag={tag}") == expected
    assert web.reason(f"/header?X-Robots-Tag={tag}", respect_x_robots_tag=False) == "ok"


def test_transient_failures_are_retried_and_others_are_not(web: Web) -> None:
    assert web.reason("/flaky/1", retries=0) == "http_503"
    assert web.reason("/flaky/2", retries=1) == "ok"
    assert web.reason("/status/404", retries=3) == "http_404"
    assert web.hits["/status/404"] == 1


def test_each_further_attempt_waits_longer(web: Web) -> None:
    start = time.monotonic()
    assert web.reason("/status/500", retries=2) == "http_500"
    assert time.monotonic() - start > 0.5 * (0.25 + 0.5)
    assert web.hits["/status/500"] == 3


def test_retry_after_is_waited_for_and_passed_on(web: Web) -> None:
    pauses: list[float] = []
    start = time.monotonic()
    assert web.reason("/flaky/1?after=1", pauses, retries=1) == "ok"
    assert time.monotonic() - start >= 1
    assert pauses == [1]


@pytest.mark.parametrize(
    ("after", "pause"),
    [("3600", 60), ("date", 60), ("9" * 5000, 60), ("Mon, 31 Dec 9999 23:59:59 -2359", 60), ("30", 30)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_past_the_limit_is_given_up_at_once(web: Web, status: int, after: str, pause: float) -> None:
    pauses: list[float] = []
    start = time.monotonic()
    assert web.reason(f"/status/{status}?after={after}", pauses, retries=3) == f"http_{status}"
    assert time.monotonic() - start < 2
    assert pauses == [pause]
    assert web.hits[f"/status/{status}"] == 1


def test_only_who_is_busy_or_asked_too_often_may_make_the_crawl_wait(web: Web) -> None:
    pauses: list[float] = []
    for url in ("/status/404?after=9", "/status/500?after=9", "/status/429?after=soon", "/status/429"):
        web.reason(url, pauses)
    assert pauses == []


def test_a_host_that_does_not_answer_is_given_up_while_others_answer(web: Web) -> None:
    web.internet.add("tarpit.test", 80, web.faults.port)
    tarpit = [f"http://tarpit.test/head/silence?{n}" for n in range(12)]
    times: dict[str, Any] = {"first_byte_timeout_s": 0.2, "max_host_timeouts": 3, "per_host": 2}
    results = web.get([*tarpit, *(f"/slowly/{n}" for n in range(40))], config(**times))
    reasons = Counter(result.reason if isinstance(result, RefusedError) else "ok" for result in results)
    assert reasons["ok"] == 40
    assert reasons["host_unresponsive"] == 12 - reasons["first_byte_timeout"] > 6
    alone = web.get(tarpit[:6], config(**times))
    assert {getattr(result, "reason", "") for result in alone} == {"first_byte_timeout"}


def test_what_was_compressed_unasked_is_bounded_too(web: Web) -> None:
    gzip_bomb(64)
    tracemalloc.start()
    assert web.reason("/encoded/bomb") == "too_large"
    assert tracemalloc.get_traced_memory()[1] < 10_000_000  # of 67,108,864 bytes
    tracemalloc.stop()
    (result,) = web.get(["/encoded/picture"], config())
    assert isinstance(result, Fetched)
    assert result.data == web.faults.picture


def test_what_was_refused_is_not_held(web: Web) -> None:
    gzip_bomb(64)
    web.get(["/ok/1"], config())
    gc.collect()
    gc.disable()  # as good as, in a crawl: what refers to itself would stay
    tracemalloc.start()
    try:
        refused = web.get(["/encoded/bomb"] * 8, config())
        assert tracemalloc.get_traced_memory()[0] < 2_000_000  # of eight times 1,000,000
    finally:
        tracemalloc.stop()
        gc.enable()
    assert len(refused) == 8


@pytest.mark.parametrize("value", ["%FF", "%FF%00%0B"])
def test_headers_that_are_no_text_harm_nobody(web: Web, value: str) -> None:
    (result,) = web.get([f"/header?ETag={value}"], config())
    assert isinstance(result, Fetched)


@pytest.mark.parametrize(
    "head",
    [
        "200 OK\nContent-Length: {length}\n\n",
        "200\r\nContent-Length: {length}\r\n\r\n",
        "203 Non-Authoritative\r\nContent-Length: {length}\r\n\r\n",
        "202 Accepted\r\nContent-Length: {length}\r\n\r\n",
        "206 Partial\r\nContent-Range: bytes 0-{last}/{length}\r\nContent-Length: {length}\r\n\r\n",
        "206 Partial\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nContent-Length: {length}\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nContent-Length: {length}, {length}\r\n\r\n",
        "200 OK\r\nContent-Length : {length}\r\n\r\n",
        "200 OK\r\nX-Served-By : a\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: identity\r\nConnection: close\r\n\r\n",
        "200 OK\r\nno field at all\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nX: folded\r\n  over lines\r\n: no name\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nConnection: close\r\nContent-Length: {more}\r\n\r\n",
        "200 OK\r\nConnection: close\r\nContent-Length: {less}\r\n\r\n",
        "200 OK\r\nX: {long}\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\n{many}Content-Length: {length}\r\n\r\n",
        "103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n",
        "200 OK\r\nContent-Encoding: none\r\nContent-Length: {length}\r\n\r\n",
    ],
)
def test_a_picture_is_never_lost_by_what_its_head_looks_like(web: Web, head: str) -> None:
    length = len(web.faults.picture)
    sizes = {"length": length, "last": length - 1, "less": length - 100, "more": length + 100}
    filled = head.format(**sizes, long="y" * 60_000, many="".join(f"X-{n}: y\r\n" for n in range(900)))
    web.faults.bodies = {"x": f"HTTP/1.1 {filled}".encode() + web.faults.picture}
    (result,) = web.get(["/raw/x"], config())
    assert isinstance(result, Fetched)
    assert result.data == web.faults.picture


def test_a_message_may_be_packed_too(web: Web) -> None:
    packed = gzip.compress(web.faults.picture)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    web.faults.bodies = {"x": head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)}
    (result,) = web.get(["/raw/x"], config())
    assert isinstance(result, Fetched)
    assert result.data == web.faults.picture


def test_part_of_a_picture_is_not_taken_for_it(web: Web) -> None:
    picture = web.faults.picture
    web.faults.bodies = {
        "part": b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-99/%d\r\nContent-Length: 100\r\n\r\n" % len(picture)
        + picture[:100],
        "page": b"HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\n<html>",
    }
    assert [web.reason(f"/raw/{name}") for name in web.faults.bodies] == ["http_206", "http_202"]


def test_opting_out_in_a_mended_head_is_respected(web: Web) -> None:
    head = b"HTTP/1.1 200 OK\r\nBad Name: x\r\nX-Robots-Tag : noai\r\nConnection: close\r\n\r\n"
    web.faults.bodies = {"x": head + web.faults.picture}
    assert web.reason("/raw/x") == "opt_out_noai"


def spoilt(rng: random.Random, picture: bytes) -> bytes:
    """An answer that is nearly right: some octets of its head, and of the start of its body, are others."""
    length = b"Content-Length: %d\r\nConnection: close\r\n" % len(picture)
    chunk = b"%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(picture), picture)
    head, body = rng.choice(
        [
            (b'200 OK\r\nETag: "x"\r\n' + length, picture),
            (b"200 OK\r\nTransfer-Encoding: chunked\r\nX-Robots-Tag: otherbot: noai, noindex\r\n", chunk),
            (b"200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n", gzip.compress(picture)),
            (b"200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n", zlib.compress(picture)),
            (b"302 Found\r\nLocation: http://faults.test/ok/1\r\nContent-Length: 0\r\n", b""),
            (b"503 Busy\r\nRetry-After: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n", b""),
            (b"101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n", b"xxxx"),
            (b"103 Early\r\nLink: <http://a/>; rel=license\r\n\r\nHTTP/1.0 200 OK\r\n", picture),
        ]
    )
    answer = bytearray(b"HTTP/1.1 " + head + b"\r\n" + body)
    pieces = [b"", b"\r\n", b"\r\n\r\n", b"9" * 30, b"%", b"\xff", b"\0", b": ", b"//", b"http://[::1", b"br, zstd"]
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(head) + 30)
        answer[place : place + rng.randint(0, 6)] = rng.choice([*pieces, rng.randbytes(rng.randint(1, 4))])
    return bytes(answer)


def test_any_answer_ends_as_a_picture_or_a_reason(web: Web) -> None:
    rng = random.Random(0)
    web.faults.bodies = {f"{number}": spoilt(rng, web.faults.picture) for number in range(600)}
    results = web.get([f"/raw/{name}" for name in web.faults.bodies], config(timeout_s=20, first_byte_timeout_s=5))
    assert len(results) == 600
    assert len({result.reason for result in results if isinstance(result, RefusedError)}) > 3
    assert sum(isinstance(result, Fetched) for result in results) > 60


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/ok/a.jpg", "ok"),  # with a body after the head, which HEAD does not have
        ("/endless", "ok"),
        ("/announced", "ok"),
        ("/chunks/garbage", "ok"),
        ("/status/404", "http_404"),
        ("/status/410", "http_410"),
        ("/status/503", "http_503"),
        ("/head/garbage", "bad_response"),
        ("/head/closed", "connect_error"),
        ("/loop/a", "redirect_loop"),
        ("/to?url=http://10.0.0.1/x", "private_address"),
        ("http://nowhere.test/x", "dns_error"),
        ("not://a/url", "bad_url"),
    ],
)
def test_a_look_reads_heads_alone(web: Web, url: str, expected: str) -> None:
    async def seen() -> str:
        async with open_client(config(), Policy(()), web.internet) as client:
            try:
                await look(client, f"http://{HOST}{url}" if url.startswith("/") else url)
            except RefusedError as refusal:
                return refusal.reason
            return "ok"

    assert asyncio.run(seen()) == expected
