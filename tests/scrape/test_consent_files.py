import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from multidict import CIMultiDict
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.consent import Consent, check_headers, parse_tdmrep
from humanvlm.scrape.reasons import TRANSIENT_REASONS, RefusedError
from humanvlm.scrape.robots import MAX_WILD

from .sites import HOST, TDMREP, serving, verdict


@pytest.mark.parametrize(
    ("found", "path", "expected"),
    [
        (b"# Spawning AI\nUser-Agent: *\nDisallow: /\nDisallow: *", "/a.jpg", "opt_out_ai_txt"),
        (b"User-Agent: *\nDisallow: *.jpg\nAllow: *.txt", "/x/a.jpg", "opt_out_ai_txt"),
        (b"User-Agent: *\nDisallow: *.jpg\nAllow: *.txt", "/x/A.JPG?w=1", "opt_out_ai_txt"),
        (b"User-Agent: *\nDisallow: *.JPG", "/x/a.jpg", "opt_out_ai_txt"),
        (b"User-Agent: *\nDisallow: *.jpg\nAllow: *.txt", "/x/a.png", "ok"),
        (b"User-Agent: *\nDisallow: /\nAllow: *.jpg", "/x/a.jpg", "ok"),
        (b"User-Agent: HumanVLM\nDisallow: /", "/a", "opt_out_ai_txt"),
        (b"User-Agent: GPTBot\nDisallow: /", "/a", "ok"),
        (b"# About us\n\nWe make photographs: please ask.", "/a", "ok"),
    ],
)
def test_ai_txt_opts_out_by_path_and_extension(found: Any, path: str, expected: str) -> None:
    assert verdict(serving(ai=found), path) == expected
    assert verdict(serving(ai=found), path, respect_ai_txt=False) == "ok"


TDM_RULES = [
    {"location": "/free/*.jpg$", "tdm-reservation": 0},
    {"location": "/broken/", "tdm-reservation": 2},
    {"location": "/free/", "tdm-reservation": 1, "tdm-policy": "https://h.test/policy.json"},
    {"location": "/", "tdm-reservation": 1},
]


def reserved(found: bytes | int | RefusedError, path: str) -> str | None:
    """The pattern that reserves a path."""
    url = URL(HOST + path)
    rule = asyncio.run(Consent(RawScrape(), serving(tdm=found).get).check_url(url)).reserved
    return rule.location.text if rule else None


def test_the_first_rule_of_tdmrep_json_that_matches_decides() -> None:
    body = json.dumps(TDM_RULES).encode()
    assert reserved(body, "/free/a.jpg") is None
    assert reserved(body, "/free/a.png") == "/free/"
    assert reserved(body, "/broken/a") == "/"
    assert reserved(json.dumps(TDM_RULES[:1]).encode(), "/other") is None
    assert [rule.policy for rule in parse_tdmrep(body)] == [None, "https://h.test/policy.json", None]


def test_rules_of_tdmrep_json_that_are_too_long_or_too_many_reserve_more_and_release_nothing() -> None:
    long = "/a" + "b" * 3000
    assert reserved(json.dumps([{"location": long, "tdm-reservation": 0}, *TDM_RULES]).encode(), long) == "/"
    assert reserved(json.dumps([{"location": long, "tdm-reservation": 1}]).encode(), long[:2500])
    many = [{"location": f"/{n}", "tdm-reservation": 0} for n in range(MAX_WILD)]
    assert reserved(json.dumps([*many, {"location": "/x", "tdm-reservation": 0}]).encode(), "/y") is None
    assert reserved(json.dumps([*many, {"location": "/x", "tdm-reservation": 1}]).encode(), "/y") == ""


@pytest.mark.parametrize(
    "found",
    [
        404,
        b"",
        b"<html>",
        b"\xff\xfe",
        b'{"location": "/", "tdm-reservation": 1}',
        b"[1, null, [], {}]",
        b'[{"location": 1, "tdm-reservation": 1}, {"location": "/"}, {"location": "/", "tdm-reservation": [1]}]',
        b"[" * 200_000,
        b"[" + b"9" * 10_000 + b"]",
    ],
)
def test_a_missing_or_malformed_tdmrep_json_reserves_nothing(found: Any) -> None:
    assert reserved(found, "/a") is None


def refusal_detail(act: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        act()
    return caught.value.detail


def test_refusals_name_what_was_asked() -> None:
    consent = Consent(RawScrape(), serving(robots=b"User-agent: *\nDisallow: /p*/a").get)
    assert (
        refusal_detail(lambda: asyncio.run(consent.check_url(URL(HOST + "/pics/a")))) == "robots.txt: Disallow: /p*/a"
    )
    rule = next(rule for rule in parse_tdmrep(json.dumps(TDM_RULES).encode()) if rule.policy)
    detail = refusal_detail(lambda: check_headers(CIMultiDict(), RawScrape(), reserved=rule))
    assert detail == "tdmrep.json: /free/ https://h.test/policy.json"


@pytest.mark.parametrize(("file", "reason"), [("ai", "ai_txt_unreachable"), ("tdm", "tdmrep_unreachable")])
@pytest.mark.parametrize(
    "found",
    [
        500,
        503,
        429,
        RefusedError("connect_error", "refused", transient=True),
        RefusedError("timeout", "10 s"),
        RefusedError("first_byte_timeout", "8 s", transient=True),
        RefusedError("tls_error", "expired"),
    ],
)
def test_ai_txt_and_tdmrep_json_fail_closed(file: str, reason: str, found: Any) -> None:
    assert verdict(serving(**{file: found}), "/a") == reason
    assert reason in TRANSIENT_REASONS
    switch = {"ai": "respect_ai_txt", "tdm": "respect_tdm_reservation"}[file]
    assert verdict(serving(**{file: found}), "/a", **{switch: False}) == "ok"
    for absent in (404, 410, 403, 301, RefusedError("too_many_redirects", "more than 5")):
        assert verdict(serving(**{file: absent}), "/a") == "ok"


RESERVED = b'[{"location": "/", "tdm-reservation": 1}]'


@pytest.mark.parametrize("file", ["ai", "tdm"])
def test_a_file_that_failed_is_asked_for_again(file: str) -> None:
    site = serving(**{file: 503})
    consent = Consent(RawScrape(), site.get)

    async def run() -> None:
        with pytest.raises(RefusedError) as caught:
            await consent.check_url(URL(HOST + "/a"))
        assert caught.value.transient
        path = {"ai": "/ai.txt", "tdm": TDMREP}[file]
        site.files[HOST + path] = b"User-agent: *\nDisallow: /" if file == "ai" else RESERVED
        if file == "ai":
            with pytest.raises(RefusedError, match="opt_out_ai_txt"):
                await consent.check_url(URL(HOST + "/a"))
        else:
            assert (await consent.check_url(URL(HOST + "/a"))).reserved

    asyncio.run(run())
