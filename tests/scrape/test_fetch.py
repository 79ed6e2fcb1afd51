import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from humanvlm.config import RawScrape
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.fetch import Fetched, fetch, open_session
from humanvlm.scrape.reasons import RefusedError

from .conftest import jpeg
from .faults import HOST, Faults, serve_faults


def config(**changes: Any) -> RawScrape:
    return RawScrape(**({"timeout_s": 5.0, "retries": 0, "max_bytes": 1_000_000} | changes))


def get_all(faults: Faults, urls: Sequence[str], settings: RawScrape) -> list[Fetched | RefusedError]:
    policy = Policy(settings.allow_private_hosts, (HOST,), faults.port)

    async def one(session: Any, url: str) -> Fetched | RefusedError:
        try:
            return await fetch(session, f"http://{HOST}{url}" if url.startswith("/") else url, settings, policy)
        except RefusedError as refusal:
            return refusal

    async def all_of_them() -> list[Fetched | RefusedError]:
        async with open_session(settings, policy) as session:
            return await asyncio.gather(*(one(session, url) for url in urls))

    return asyncio.run(all_of_them())


def reason(faults: Faults, url: str, **changes: Any) -> str:
    (result,) = get_all(faults, [url], config(**changes))
    return result.reason if isinstance(result, RefusedError) else "ok"


def test_a_picture_arrives_as_it_was_served(faults: Faults) -> None:
    (result,) = get_all(faults, ["/ok/a.jpg"], config(user_agent="me/1"))
    assert result == Fetched(
        f"http://{HOST}/ok/a.jpg", 200, faults.picture, "image/jpeg", '"x"', "Mon, 01 Jan 2024 00:00:00 GMT"
    )
    assert faults.agents == {"me/1"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/status/404", "http_404"),
        ("/status/410", "http_410"),
        ("/status/204", "http_204"),
        ("/status/500", "http_500"),
        ("/endless", "too_large"),
        ("/announced", "too_large"),
        ("/short", "incomplete_body"),
        ("/loop", "too_many_redirects"),
        ("/garbage", "bad_response"),
        ("/to?url=ftp://x/y", "bad_url"),
        ("http://127.0.0.1:1/x", "private_address"),
        ("http://localhost/x", "private_address"),
        ("http://0x7f000001/x", "private_address"),
        ("not://a/url", "bad_url"),
        ("http://" + "a" * 70 + ".test/", "bad_url"),
        ("http://nowhere.invalid/x", "connect_error"),
    ],
)
def test_each_failure_has_its_reason(faults: Faults, url: str, expected: str) -> None:
    assert reason(faults, url) == expected


def test_a_slow_drip_ends_at_the_time_limit(faults: Faults) -> None:
    start = time.monotonic()
    assert reason(faults, "/drip", timeout_s=0.4, retries=5) == "timeout"
    assert time.monotonic() - start < 2


def test_redirects_within_the_limit_are_followed(faults: Faults) -> None:
    (result,) = get_all(faults, ["/to?url=/to?url=/ok/b.jpg"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}/ok/b.jpg"
    assert reason(faults, "/to?url=/to?url=/ok/b.jpg", max_redirects=1) == "too_many_redirects"
    assert reason(faults, "/to?url=/ok/b.jpg", max_redirects=0) == "too_many_redirects"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"])
def test_a_redirect_to_a_private_address_is_never_contacted(faults: Faults, host: str) -> None:
    with serve_faults(jpeg()) as inner:
        found = reason(faults, f"/to?url=http://{host}:{inner.port}/ok/secret")
        assert found in ("private_address", "bad_url")
        assert not inner.hits
        allowed = reason(faults, f"/to?url=http://127.0.0.1:{inner.port}/ok/x", allow_private_hosts=("127.0.0.1",))
        assert allowed == "ok"
        assert inner.hits == {"/ok/x": 1}


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "[fd00:ec2::254]"])
def test_a_redirect_into_the_network_is_refused_at_once(faults: Faults, address: str) -> None:
    start = time.monotonic()
    assert reason(faults, f"/to?url=http://{address}/latest/meta-data") == "private_address"
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("noai", "opt_out_noai"),
        ("noindex, NoImageAI", "opt_out_noai"),
        ("somebot: noai", "opt_out_noai"),
        ("all", "ok"),
    ],
)
def test_opting_out_is_respected(faults: Faults, tag: str, expected: str) -> None:
    assert reason(faults, f"/noai?tag={tag}") == expected
    assert reason(faults, f"/noai?tag={tag}", respect_noai=False) == "ok"


def test_transient_failures_are_retried_and_others_are_not(faults: Faults) -> None:
    assert reason(faults, "/flaky/1", retries=0) == "http_503"
    assert reason(faults, "/flaky/2", retries=1) == "ok"
    assert reason(faults, "/status/404", retries=3) == "http_404"
    assert faults.hits["/status/404"] == 1


def test_one_host_gets_no_more_requests_at_once_than_allowed(faults: Faults) -> None:
    results = get_all(faults, [f"/slowly/{n}" for n in range(24)], config(concurrency=32, per_host=3))
    assert all(isinstance(result, Fetched) for result in results)
    assert faults.most_at_once == 3
