import asyncio
import gzip
import threading
from collections import Counter
from typing import Any

import pytest
from multidict import CIMultiDict
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape import consent as module
from humanvlm.scrape.consent import ORIGINS, Consent, FetchedText, SitePolicy, check_headers
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.robots import MAX_BYTES, MAX_WILD, parse_rules

from .sites import AGENT, HOST, TDMREP, Site, serving, verdict


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("User-agent: *\nCrawl-delay: 2.5", 2.5),
        ("User-agent: *\nCrawl-delay: 3600", 60.0),
        ("User-agent: *\nCrawl-delay: -1", 0.0),
        ("User-agent: *\nCrawl-delay: nan", 0.0),
        ("User-agent: *\nCrawl-delay: inf", 0.0),
        ("User-agent: *\nCrawl-delay: soon", 0.0),
        ("User-agent: *\nCrawl-delay: 9\n\nUser-agent: humanvlm\nDisallow: /x", 0.0),
        ("User-agent: x\nCrawl-delay: 9\n\nUser-agent: *\nDisallow: /x", 0.0),
        ("Crawl-delay: 9", 0.0),
    ],
)
def test_crawl_delay_is_a_bounded_number_of_our_group(body: str, expected: float) -> None:
    assert parse_rules(body.encode(), AGENT).crawl_delay_s == expected
    consent = Consent(RawScrape(), serving(robots=body.encode()).get)
    assert asyncio.run(consent.check_url(URL(HOST + "/a"))).crawl_delay_s == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (404, "ok"),
        (410, "ok"),
        (401, "ok"),
        (403, "ok"),
        (301, "ok"),  # a redirect that leads nowhere
        (429, "robots_unreachable"),
        (500, "robots_unreachable"),
        (503, "robots_unreachable"),
        (RefusedError("connect_error", "refused", transient=True), "robots_unreachable"),
        (RefusedError("timeout", "10 s"), "robots_unreachable"),
        (RefusedError("too_many_redirects", "more than 5"), "ok"),
        (RefusedError("dns_error", "h.test does not resolve", transient=True), "dns_error"),
        (RefusedError("metadata_address", "169.254.169.254"), "metadata_address"),
        (b"User-agent: *\nDisallow: /a", "robots_disallow"),
        (b"", "ok"),
    ],
)
def test_an_unavailable_robots_txt_allows_and_an_unreachable_one_disallows(found: Any, expected: str) -> None:
    assert verdict(serving(robots=found), "/a") == expected
    assert verdict(serving(robots=found), "/a", respect_robots_txt=False) == "ok"


def test_an_unreachable_robots_txt_is_worth_another_attempt_and_then_left_alone_for_a_while() -> None:
    site, now = serving(robots=503), [0.0]
    consent = Consent(RawScrape(), site.get, lambda: now[0])

    async def run() -> None:
        for _ in range(4):
            with pytest.raises(RefusedError, match=r"robots_unreachable: /robots\.txt: HTTP 503") as caught:
                await consent.check_url(URL(HOST + "/a"))
            assert caught.value.transient
        assert site.asked[HOST + "/robots.txt"] == 2
        site.files[HOST + "/robots.txt"] = b""
        now[0] += module.FAILED_MAX_AGE_S + 1
        await consent.check_url(URL(HOST + "/a"))
        assert site.asked[HOST + "/robots.txt"] == 3

    asyncio.run(run())


def test_files_are_read_once_an_origin_at_the_same_time_and_again_after_a_day() -> None:
    site, now = serving(robots=b"User-agent: *\nDisallow: /no"), [0.0]
    consent = Consent(RawScrape(), site.get, lambda: now[0])

    async def run() -> None:
        site.limiter.clear()
        askers = [asyncio.create_task(consent.check_url(URL(f"{HOST}/{n}"))) for n in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert site.at_once == 3
        site.limiter.set()
        await asyncio.gather(*askers)
        assert set(site.asked.values()) == {1}
        assert len(site.asked) == 3
        await consent.check_url(URL(HOST + ":8080/a"))
        await consent.check_url(URL("https://user:secret@h.test/a"))
        assert len(site.asked) == 9
        assert not any("secret" in url for url in site.asked)
        now[0] = 24 * 3600 - 1
        await consent.check_url(URL(HOST + "/a"))
        assert site.asked[HOST + "/robots.txt"] == 1
        now[0] += 1
        await consent.check_url(URL(HOST + "/a"))
        assert site.asked[HOST + "/robots.txt"] == 2

    asyncio.run(run())


def test_origins_that_do_not_answer_are_read_a_few_at_a_time_and_hold_up_no_others() -> None:
    """Each of a registered domain's many names has files of its own, and three connections for them."""
    site, concurrency = Site({}), 3
    site.limiter.clear()

    async def run() -> None:
        consent = Consent(RawScrape(concurrency=concurrency), site.get)
        many = [asyncio.create_task(consent.check_url(URL(f"http://{n}.evil.test/a"))) for n in range(200)]
        await asyncio.sleep(0.01)
        assert site.at_once == 3 * concurrency
        other = asyncio.create_task(consent.check_url(URL("http://other.test/a")))
        await asyncio.sleep(0.01)
        assert site.asked["http://other.test/robots.txt"] == 1
        far = [asyncio.create_task(consent.check_url(URL(f"http://www.{n}.test/a"))) for n in range(50)]
        await asyncio.sleep(0.01)
        assert site.at_once == 3 * concurrency * ORIGINS
        site.limiter.set()
        await asyncio.gather(*many, other, *far)
        await consent.close()

    asyncio.run(run())
    assert len(site.asked) == 3 * 251


def test_an_asker_that_gives_up_does_not_end_the_reading_for_others() -> None:
    site = serving()
    consent = Consent(RawScrape(), site.get)

    async def run() -> None:
        site.limiter.clear()
        first = asyncio.create_task(consent.check_url(URL(HOST + "/a")))
        second = asyncio.create_task(consent.check_url(URL(HOST + "/b")))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        site.limiter.set()
        assert await second == SitePolicy()
        assert set(site.asked.values()) == {1}

    asyncio.run(run())


def test_closing_ends_what_is_being_read() -> None:
    site = serving()
    consent = Consent(RawScrape(), site.get)

    async def run() -> None:
        site.limiter.clear()
        asker = asyncio.create_task(consent.check_url(URL(HOST + "/a")))
        await asyncio.sleep(0)
        await consent.close()
        with pytest.raises(asyncio.CancelledError):
            await asker
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_the_origins_asked_about_least_recently_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", module.MAX_LARGE_BYTES + 3 * module.ORIGIN_BYTES + 999)
    hosts = [f"http://{n}.test" for n in range(4)]
    site = Site({f"{host}/robots.txt": b"User-agent: *\nDisallow: /x" for host in hosts})
    consent = Consent(RawScrape(), site.get)

    async def ask(*numbers: int) -> None:
        for number in numbers:
            await consent.check_url(URL(hosts[number] + "/a"))

    async def run() -> None:
        await ask(0, 1, 2, 0, 3)
        assert set(site.asked.values()) == {1}
        await ask(0, 2, 3)
        assert set(site.asked.values()) == {1}
        await ask(1)
        assert site.asked[hosts[1] + "/robots.txt"] == 2

    asyncio.run(run())


STARS = b"*ab" * 170_000

HUGE = {
    "robots": b"user-agent:*\nallow:" + STARS + b"\n",
    "ai": b"user-agent:*\n" + b"".join(b"disallow:/%x\n" % n for n in range(30_000)),
    "tdm": b"[" + b",".join([b'{"location": "/*a*b*", "tdm-reservation": 1}'] * 9000) + b"]",
}


def test_origins_that_write_much_push_out_each_other_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LARGE_BYTES", 3 << 20)
    bodies = {"/robots.txt": HUGE["robots"], "/ai.txt": HUGE["ai"], TDMREP: HUGE["tdm"]}
    asked: Counter[str] = Counter()

    async def get(url: URL) -> FetchedText:
        asked[url.raw_host or ""] += 1
        if url.raw_host == "small.test":
            return FetchedText(404, b"", url)
        body = gzip.compress(bodies[url.path][:MAX_BYTES], 1)
        return FetchedText(200, body, url, "gzip")

    async def run() -> None:
        consent = Consent(RawScrape(), get)
        await consent.check_url(URL("http://small.test/a"))
        for number in range(6):
            with pytest.raises(RefusedError):
                await consent.check_url(URL(f"http://s{number}.evil.test/a"))
        assert consent.memory <= module.MAX_LARGE_BYTES + module.ORIGIN_BYTES
        await consent.check_url(URL("http://small.test/b"))
        assert asked["small.test"] == 3
        assert len(asked) == 7

    asyncio.run(run())


def test_what_takes_long_does_not_hold_up_the_others() -> None:
    wild = b"".join(b"allow:*a%d\n" % n for n in range(MAX_WILD))
    site = Site({"http://slow.test/robots.txt": b"user-agent:*\n" + wild, "http://fast.test/robots.txt": b""})
    consent, blocked, done = Consent(RawScrape(), site.get), threading.Event(), []

    async def ask(host: str) -> None:
        await consent.check_url(URL(f"http://{host}.test/" + "a" * 2000))
        done.append(host)

    async def run() -> None:
        await asyncio.gather(ask("slow"), ask("fast"))
        done.clear()
        consent._beside.submit(blocked.wait)
        slow = asyncio.create_task(ask("slow"))
        await asyncio.sleep(0)
        await ask("fast")
        blocked.set()
        await slow
        assert done == ["fast", "slow"]

    asyncio.run(run())


def test_switches_that_are_off_cost_no_request() -> None:
    off = {"respect_robots_txt": False, "respect_ai_txt": False, "respect_tdm_reservation": False}
    for name, path in [
        ("respect_robots_txt", "/robots.txt"),
        ("respect_ai_txt", "/ai.txt"),
        ("respect_tdm_reservation", TDMREP),
    ]:
        site = serving()
        assert verdict(site, "/a", **(off | {name: True})) == "ok"
        assert set(site.asked) == {HOST + path}
    site = serving(robots=b"User-agent: *\nDisallow: /")
    assert verdict(site, "/a", **off) == "ok"
    assert not site.asked


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"User-agent: GPTBot\nDisallow: /", "opt_out_ai_agents"),
        (b"User-agent: *\nAllow: /\n\nUser-agent: CCBot\nUser-agent: GPTBot\nDisallow: /", "opt_out_ai_agents"),
        (b"User-agent: Google-Extended\nDisallow: /b", "ok"),
        (b"User-agent: SearchBot\nDisallow: /", "ok"),
        (b"User-agent: humanvlm\nAllow: /\n\nUser-agent: GPTBot\nDisallow: /", "ok"),  # it speaks to us
        (b"User-agent: *\nDisallow: /\n\nUser-agent: GPTBot\nAllow: /", "robots_disallow"),
        (b"User-agent: GPTBot\nContent-Signal: ai-train=no", "opt_out_content_signal"),
        (b"User-agent: *\nContent-Usage: / train-ai=n", "opt_out_content_usage"),
        (b"User-agent: *\nContent-Usage: /b train-ai=n", "ok"),
    ],
)
def test_groups_of_further_agents_and_statements_of_use_are_obeyed(body: bytes, expected: str) -> None:
    assert verdict(serving(robots=body), "/a") == expected
    changes: dict[str, Any] = {"also_obey": [], "respect_content_usage": False}
    assert verdict(serving(robots=body), "/a", **changes) == ("ok" if expected.startswith("opt_out") else expected)


def test_headers_for_further_agents_are_heeded() -> None:
    headers = CIMultiDict([("X-Robots-Tag", "gptbot: noai")])
    with pytest.raises(RefusedError, match="opt_out_noai"):
        check_headers(headers, RawScrape())
    check_headers(headers, RawScrape(also_obey=[]))
