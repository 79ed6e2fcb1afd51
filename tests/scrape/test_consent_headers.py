"""What an answer's own headers say on consent and licence."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.consent import OPT_OUTS, check_headers, directives, parse_tdmrep, relevant_headers, tdm_reserved
from humanvlm.scrape.reasons import RefusedError

AGENT = "humanvlm"
RESERVED = [{"location": "/", "tdm-reservation": 1}]


def header_verdict(*headers: tuple[str, str], tdm: list[dict[str, Any]] | None = None, **changes: Any) -> str:
    rule = tdm_reserved(parse_tdmrep(json.dumps(tdm or []).encode()), b"/a")
    config = RawScrape(**({"user_agent": "HumanVLM/1 (x)"} | changes))
    try:
        check_headers(CIMultiDict(headers), config, reserved=rule)
    except RefusedError as refusal:
        return refusal.reason
    return "ok"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["noai"], "opt_out_noai"),
        (["NoIndex, NoImageAI"], "opt_out_noai"),
        (["*: noai"], "opt_out_noai"),
        (["noindex, nofollow, noarchive, none, noimageindex"], "ok"),
        (["all"], "ok"),
        ([""], "ok"),
        (["humanvlm: noai"], "opt_out_noai"),
        (["HumanVLM/1: noindex, noai"], "opt_out_noai"),
        (["humanvlmx: noai"], "ok"),
        (["otherbot: noai, noindex, noimageai"], "ok"),
        (["otherbot: noindex, humanvlm: noai"], "opt_out_noai"),
        (["otherbot: noindex, *: noai"], "opt_out_noai"),
        (["humanvlm: noindex, otherbot: noai"], "ok"),
        (["noai, otherbot: noindex"], "opt_out_noai"),
        (["otherbot: noindex", "noai"], "opt_out_noai"),
        (["humanvlm: noindex", "otherbot: noai"], "ok"),
        (["unavailable_after: Friday, 25 Jun 2010 15:00:00 PST, noai"], "opt_out_noai"),
        (["unavailable_after: Friday, 25 Jun 2010 15:00:00 PST"], "ok"),
        (["otherbot: unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "ok"),
        (["max-snippet: 20, noai"], "opt_out_noai"),
        (["max-image-preview: large, max-video-preview: -1, noimageai"], "opt_out_noai"),
        (["otherbot: max-snippet: 20, noai"], "ok"),
        (["max-snippet: noai"], "ok"),
        (["noindex; noai"], "opt_out_noai"),
        (["noaix, xnoai"], "ok"),
    ],
)
def test_x_robots_tag_is_scoped_by_agent(values: list[str], expected: str) -> None:
    assert header_verdict(*(("X-Robots-Tag", value) for value in values)) == expected
    assert header_verdict(*(("x-robots-tag", value) for value in values), respect_x_robots_tag=False) == "ok"


words = st.sampled_from(
    ["noai", "NoImageAI", "noindex", "all", "max-snippet: 20", "unavailable_after: Fri, 1 Jun 20 1:00:00"]
)
agents = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12).map(lambda name: f"a{name}")


def found(*values: str, agent: str = AGENT) -> list[str]:
    return list(directives(values, [agent]))


headers = st.lists(st.text(max_size=60) | st.lists(words | agents | st.just(":")).map(", ".join), max_size=4)


@given(headers)
def test_any_header_can_be_parsed(values: list[str]) -> None:
    opted_out = not OPT_OUTS.isdisjoint(found(*values))
    assert header_verdict(*(("X-Robots-Tag", value) for value in values)) == ("opt_out_noai" if opted_out else "ok")
    if all(value.isascii() for value in values):
        assert found(*values) == found(*(value.swapcase() for value in values))


@given(st.lists(words, min_size=1, max_size=5).map(", ".join), agents, agents)
def test_directives_after_an_agent_are_for_it_alone(value: str, agent: str, other: str) -> None:
    agent, other = agent.lower(), other.lower() + "-other"
    assert found(f"{agent}: {value}", agent=agent) == found(value) == found(f"*: {value}")
    assert found(f"{other}: {value}", agent=agent) == []
    assert found(f"{other}: all, {agent}: {value}", agent=agent) == found(value)
    assert found(f"{other}: all", value, agent=agent) == found(value)


@pytest.mark.parametrize(
    ("headers", "tdm", "expected"),
    [
        ([], [], "ok"),
        ([("TDM-Reservation", "1")], [], "opt_out_tdm"),
        ([("tdm-reservation", " 1 "), ("tdm-policy", "https://h.test/p")], [], "opt_out_tdm"),
        ([("tdm-reservation", "0")], [], "ok"),
        ([("tdm-reservation", "2")], [], "ok"),
        ([("tdm-reservation", "0"), ("tdm-reservation", "1")], [], "opt_out_tdm"),
        ([], RESERVED, "opt_out_tdm"),
        ([("tdm-reservation", "0")], RESERVED, "ok"),
        ([("tdm-reservation", "2")], RESERVED, "opt_out_tdm"),
        ([("tdm-policy", "https://h.test/p")], RESERVED, "opt_out_tdm"),
    ],
)
def test_the_reservation_of_an_answer_overrides_the_sites(
    headers: list[tuple[str, str]], tdm: list[dict[str, Any]], expected: str
) -> None:
    assert header_verdict(*headers, tdm=tdm) == expected
    assert header_verdict(*headers, tdm=tdm, respect_tdm_reservation=False) == "ok"


def test_headers_on_consent_and_licence_are_kept_for_provenance() -> None:
    headers = CIMultiDict(
        [
            ("X-Robots-Tag", "otherbot: noai"),
            ("X-Robots-Tag", "noindex"),
            ("TDM-Reservation", "0"),
            ("Link", '</next>; rel="next", <https://cc.test/by/4.0/>; rel="license"'),
            ("Link", "<https://cc.test/by/3.0/>;rel=license, <https://cc.test/x>; rel=license-x"),
            ("Content-Type", "image/jpeg"),
        ]
    )
    assert relevant_headers(headers) == {
        "x-robots-tag": "otherbot: noai\nnoindex",
        "tdm-reservation": "0",
        "link": '<https://cc.test/by/4.0/>; rel="license"\n<https://cc.test/by/3.0/>;rel=license',
    }
    assert relevant_headers(CIMultiDict({"Content-Type": "image/png", "Link": "</a>; rel=next"})) == {}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Content-Usage", "train-ai=n")], "opt_out_content_usage"),
        ([("Content-Usage", "search=y"), ("content-usage", "train-ai=n")], "opt_out_content_usage"),
        ([("Content-Usage", "train-ai=n"), ("Content-Usage", "train-ai=y")], "ok"),  # lines of one field are one
        ([("Content-Usage", "search=n")], "ok"),
        ([("Content-Signal", "search=yes, ai-train=no")], "opt_out_content_signal"),
        ([("Content-Signal", "ai-train=yes, search=yes, ai-input=yes")], "ok"),
        ([("Content-Usage", "train-ai=y"), ("Content-Signal", "ai-train=no")], "opt_out_content_signal"),
    ],
)
def test_statements_of_use_are_heeded_and_kept_as_provenance(headers: list[tuple[str, str]], expected: str) -> None:
    assert header_verdict(*headers) == expected
    assert header_verdict(*headers, respect_content_usage=False) == "ok"
    found = relevant_headers(CIMultiDict(headers))
    assert sorted("\n".join(found.values()).split("\n")) == sorted(value for _, value in headers)
