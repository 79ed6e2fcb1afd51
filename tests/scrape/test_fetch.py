import asyncio
import base64
import gc
import gzip
import random
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.fetch import Client, Fetched, fetch, look, open_client
from humanvlm.scrape.hosts import Hosts, Turn
from humanvlm.scrape.reasons import RefusedError

from .conftest import jpeg
from .faults import Faults, Internet, gzip_bomb, serve_faults

HOST = "faults.test"
Outcome = Fetched | RefusedError


def config(**changes: Any) -> RawScrape:
    return RawScrape(**({"timeout_s": 5.0, "retries": 0, "max_bytes": 1_000_000} | changes))


class Noted(Turn):
    """A turn that notes which pauses a host asks for."""

    def __init__(self, hosts: Hosts, pauses: list[float]) -> None:
        super().__init__(hosts)
        self.pauses = pauses

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        super().pause(seconds)


class Web:
    """Asks the server of HOST, as a crawl would; every name and address but its own leads nowhere."""

    def __init__(self, faults: Faults, internet: Internet) -> None:
        self.faults = faults
        self.internet = internet
        self.hits = faults.hits

    def get(self, urls: Sequence[str], settings: RawScrape, pauses: list[float] | None = None) -> list[Outcome]:
        async def one(client: Client, url: str) -> Outcome:
            turn = Noted(client.hosts, [] if pauses is None else pauses)
            try:
                return await fetch(client, f"http://{HOST}{url}" if url.startswith("/") else url, turn)
            except RefusedError as refusal:
                return refusal
            finally:
                turn.leave()

        async def all_of_them() -> list[Outcome]:
            async with open_client(settings, Policy(settings.allow_private_hosts), self.internet) as client:
                return await asyncio.gather(*(one(client, url) for url in urls))

        return asyncio.run(all_of_them())

    def reason(self, url: str, pauses: list[float] | None = None, **changes: Any) -> str:
        (result,) = self.get([url], config(**changes), pauses)
        return result.reason if isinstance(result, RefusedError) else "ok"


@pytest.fixture
def web(faults: Faults) -> Iterator[Web]:
    internet = Internet()
    internet.add(HOST, 80, faults.port)
    internet.names["localhost"] = internet.names["0x7f000001"] = [["127.0.0.1"]]
    with internet.installed():
        yield Web(faults, internet)
    assert not internet.refused


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


def test_redirects_within_the_limit_are_followed(web: Web) -> None:
    (result,) = web.get(["/chain/2"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}/ok/end"
    assert web.reason("/chain/2", max_redirects=1) == "too_many_redirects"
    assert web.reason("/chain/1", max_redirects=0) == "too_many_redirects"
    assert web.reason("/to?url=") == "http_302"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"])
def test_a_redirect_to_a_private_address_is_never_contacted(web: Web, host: str) -> None:
    with serve_faults(jpeg()) as inner:
        found = web.reason(f"/to?url=http://{host}:{inner.port}/ok/secret")
        assert found in ("loopback_address", "bad_url")
        assert not inner.hits
        allowed: dict[str, Any] = {"allow_private_hosts": (f"127.0.0.1:{inner.port}",)}
        assert web.reason(f"/to?url=http://127.0.0.1:{inner.port}/ok/x", **allowed) == "loopback_address"
        assert not inner.hits
        assert web.reason(f"http://127.0.0.1:{inner.port}/to?url=/ok/x", **allowed) == "ok"
        assert inner.hits["/ok/x"] == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "private_address"),
        ("169.254.1.1", "link_local_address"),
        ("169.254.169.254", "metadata_address"),
        ("[fd00:ec2::254]", "metadata_address"),
    ],
)
def test_a_redirect_into_the_network_is_refused_at_once(web: Web, address: str, expected: str) -> None:
    start = time.monotonic()
    assert web.reason(f"/to?url=http://{address}/latest/meta-data", retries=3) == expected
    assert time.monotonic() - start < 2


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


def test_an_opt_out_on_the_way_counts(web: Web) -> None:
    """A redirect may carry it too."""
    assert web.reason("/to?url=/header?X-Robots-Tag=noai") == "opt_out_noai"
    assert web.reason("/header?tdm-reservation=1") == "opt_out_tdm"


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


def test_a_third_party_is_asked_as_it_wishes_whoever_leads_to_it(web: Web) -> None:
    robots = b"User-agent: *\nCrawl-delay: 0.1\n"
    with serve_faults(jpeg(), {"robots": robots}, {"/robots.txt": "/body/robots"}) as third:
        web.internet.add("third.test", 80, third.port)
        start = time.monotonic()
        results = web.get([f"/to?url=http://third.test/ok/{n}" for n in range(6)], config())
        assert {type(result) for result in results} == {Fetched}
        assert time.monotonic() - start > 5 * 0.1
    assert third.most_at_once == 1


def test_no_more_than_a_hosts_share_is_asked_of_it_at_once_through_redirects(web: Web) -> None:
    with serve_faults(jpeg()) as third:
        web.internet.add("third.test", 80, third.port)
        urls = [f"/to?url=http://third.test/slowly/{n}" for n in range(20)]
        results = web.get(urls, config(per_host=3))
        assert {type(result) for result in results} == {Fetched}
    assert third.most_at_once == 3
    assert web.faults.most_at_once <= 3


def test_two_hosts_that_lead_to_each_other_do_not_wait_for_each_other(web: Web) -> None:
    web.internet.add("other.test", 80, web.faults.port)
    urls = [
        f"http://{a}/to?url=http://{b}/slowly/{n}"
        for n in range(9)
        for a, b in ((HOST, "other.test"), ("other.test", HOST))
    ]
    results = web.get(urls, config(per_host=1, concurrency=2))
    assert {type(result) for result in results} == {Fetched}


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


def redirect(location: bytes, *fields: bytes) -> bytes:
    lines = [b"HTTP/1.1 302 Found", b"Location: " + location, *fields, b"Content-Length: 0", b"Connection: close"]
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (b"/ok/a%2Cb,c", "/ok/a%2Cb,c"),
        (b"/ok/my photo.jpg", "/ok/my%20photo.jpg"),
        ("/ok/café".encode(), "/ok/caf%C3%A9"),
        ("/ok/café".encode("latin-1"), "/ok/caf%E9"),
        (b"../ok/x?sig=a%2Fb%3D&t=1+2#part", "/ok/x?sig=a%2Fb%3D&t=1+2"),
    ],
)
def test_addresses_are_asked_for_as_they_are_spelled(web: Web, location: bytes, asked: str) -> None:
    web.faults.bodies = {"x": redirect(location)}
    (result,) = web.get(["/raw/x"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}{asked}"
    assert asked in web.faults.targets
    (result,) = web.get([asked], config())
    assert isinstance(result, Fetched)
    assert web.faults.targets[asked] == 2


def test_cookies_live_as_long_as_one_fetch(web: Web) -> None:
    web.faults.bodies = {"set": redirect(b"/cookie", b"Set-Cookie: seen=1; Path=/"), "twice": redirect(b"/raw/set")}
    assert web.reason("/raw/twice") == "ok"
    assert web.reason("/cookie") == "http_403"


def test_credentials_go_to_their_own_origin_and_are_kept_nowhere(web: Web) -> None:
    web.internet.add("other.test", 80, web.faults.port)
    web.faults.bodies = {"away": redirect(b"http://other.test/ok/x"), "here": redirect(b"/ok/y")}
    urls = [f"http://me:se%40cret@{HOST}/{path}" for path in ("ok/1", "raw/here", "raw/away", "status/404")]
    results = web.get(urls, config())
    assert [str(getattr(result, "url", "")) for result in results[:3]] == [
        f"http://{HOST}/ok/1", f"http://{HOST}/ok/y", "http://other.test/ok/x"
    ]  # fmt: skip
    assert "cret" not in repr(results)
    sent = "Basic " + base64.b64encode(b"me:se@cret").decode()
    asked = {path: value for path, value in web.faults.authorized.items() if not path.startswith("/robots")}
    assert asked["/ok/1"] == asked["/ok/y"] == asked["/raw/away"] == sent
    assert not asked["/ok/x"]
    for address in ("http://me:secret@", "ftp://me:secret" + "x" * 200 + "@a.test/", "http:/\t/me:secret@"):
        (result,) = web.get([address], config())
        assert "secret" not in repr(result)
    (result,) = web.get([f"http://:secret@{HOST}/ok/1"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}/ok/1"


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
