import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from humanvlm.scrape.robots import MAX_BYTES, parse_pattern, parse_rules, path_octets, product_token

AGENT = "humanvlm"
HOST = "http://h.test"


def allows(body: str | bytes, path: str, agent: str = AGENT) -> bool:
    rule = parse_rules(body.encode() if isinstance(body, str) else body, agent).deciding(path_octets(URL(HOST + path)))
    return rule is None or rule.allow


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [("HumanVLM/0.1 (x)", "humanvlm"), ("human-vlm (a/b)", "human-vlm"), ("one", "one"), ("", ""), ("/1", "")],
)
def test_the_product_token_is_what_precedes_a_slash_or_a_space(user_agent: str, token: str) -> None:
    assert product_token(user_agent) == token


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        # groups, section 2.2.1
        ("user-agent:*\ndisallow:/", "/a", False),
        ("Disallow: /", "/a", True),
        ("User-agent: HUMANvlm\nDisallow: /", "/a", False),
        ("User-agent: HumanVLM/2.0\nDisallow: /", "/a", False),
        ("User-agent: human\nDisallow: /", "/a", True),
        ("User-agent: humanvlm-images\nDisallow: /", "/a", True),
        ("User-agent: *bot\nDisallow: /", "/a", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: humanvlm\nDisallow: /x", "/a", True),
        ("User-agent: humanvlm\nDisallow:\n\nUser-agent: *\nDisallow: /", "/a", True),
        ("User-agent: x\nUser-agent: humanvlm\nDisallow: /", "/a", False),
        (
            "User-agent: humanvlm\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: humanvlm\nDisallow: /c",
            "/a",
            False,
        ),
        (
            "User-agent: humanvlm\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: humanvlm\nDisallow: /c",
            "/b",
            True,
        ),
        (
            "User-agent: humanvlm\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: humanvlm\nDisallow: /c",
            "/c",
            False,
        ),
        # other lines do not end a group, section 2.2.4
        ("User-agent: humanvlm\nSitemap: http://x/\nUser-agent: y\nDisallow: /", "/a", False),
        ("User-agent: humanvlm\nCrawl-delay: 5\nWhat: ever\n\nUser-agent: y\nDisallow: /", "/a", False),
        # the longest rule, and Allow among equals, section 2.2.2
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("User-agent: *\nAllow: /a/b\nDisallow: /a", "/a/c", False),
        ("User-agent: *\nDisallow: /a\nAllow: /a", "/a", True),
        ("User-agent: *\nAllow: /p\nDisallow: /*.jpg", "/p/a.jpg", False),
        ("User-agent: *\nDisallow: /A", "/a", True),
        ("User-agent: *\nDisallow: /\nAllow: /*/\nDisallow: /ü", "/ü/a", False),
        # special characters, section 2.2.3
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg", False),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg?w=1", True),
        ("User-agent: *\nDisallow: /a$", "/a", False),
        ("User-agent: *\nDisallow: /a$", "/ab", True),
        ("User-agent: *\nDisallow: /a*a$", "/a", True),
        ("User-agent: *\nDisallow: /a**c*e", "/abcde/f", False),
        ("User-agent: *\nDisallow: /*?w=", "/a?w=1", False),
        ("User-agent: *\nDisallow: *.gif", "/x/a.gif", False),
        ("User-agent: *\nDisallow: /a # all of it", "/a", False),
        ("User-agent: *\nDisallow: # nothing", "/a", True),
        ("User-agent: *\nDisallow: images", "/images/a", True),
        ("User-agent: *\nDisallow: /a$b", "/a$b", False),
        # percent-encoding, section 2.2.2 and its table
        ("User-agent: *\nDisallow: /foo/bar?baz=quz", "/foo/bar?baz=quz", False),
        ("User-agent: *\nDisallow: /foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", False),
        ("User-agent: *\nDisallow: /foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar", False),
        ("User-agent: *\nDisallow: /foo/bar/ツ", "/foo/bar/%E3%83%84", False),
        ("User-agent: *\nDisallow: /foo/bar/%e3%83%84", "/foo/bar/ツ", False),
        ("User-agent: *\nDisallow: /foo/bar/%62%61%7A", "/foo/bar/baz", False),
        ("User-agent: *\nDisallow: /file-%2A.html", "/file-*.html", False),
        ("User-agent: *\nDisallow: /file-%2A.html", "/file-a.html", True),
        ("User-agent: *\nDisallow: /foo-%24", "/foo-$", False),
        ("User-agent: *\nDisallow: /foo-%24", "/foo-", True),
        ("User-agent: *\nDisallow: /100%", "/100%25/a", False),
        # malformed input
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /", "/a", False),
        (b"User-agent: *\rDisallow: /a\r", "/a", False),
        (b"User-agent: *\nDisallow: /caf\xe9", "/caf%E9/a", False),
        (b"\xff\xfe\x00garbage\nUser-agent: *\n\x00\nDisallow: /a", "/a", False),
        (b"User-agent: *\nDisallow: /a\x0bAllow: /", "/a", True),
        ("<html><body>User-agent: * Disallow: /</body></html>", "/a", True),
        ("", "/a", True),
    ],
)
def test_robots_txt_follows_rfc_9309(body: str | bytes, path: str, expected: bool) -> None:
    assert allows(body, path) is expected


def test_only_half_a_mebibyte_of_robots_txt_counts_and_no_line_is_cut() -> None:
    head = b"User-agent: *\nDisallow: /a\n"
    filler = b"#" * (MAX_BYTES - len(head) - len(b"\nDisallow: /")) + b"\n"
    body = (head + filler + b"Disallow: /private\n")[:MAX_BYTES]
    assert body.endswith(b"\nDisallow: /")
    assert not allows(body, "/a")
    assert allows(body, "/b")
    assert allows(head + b"#" * MAX_BYTES + b"\nDisallow: /b", "/b")


def test_an_agent_named_twice_has_each_rule_once() -> None:
    rules = parse_rules(b"User-agent: *\n" * 15_000 + b"Disallow: /a\n" * 15_000, AGENT)
    assert len(rules.rules) == 15_000


@given(st.binary(max_size=200), st.binary(max_size=50))
@example(b"User-agent:*\nDisallow:*" + b"*a" * 80 + b"$", b"a" * 79)
def test_no_octets_break_the_robots_parser(body: bytes, path: bytes) -> None:
    rules = parse_rules(b"User-agent: *\n" + body, AGENT)
    assert rules.deciding(path) in (None, *rules.rules)


@given(st.text("ab*$", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_their_regular_expression_does(pattern: str, path: str) -> None:
    body = pattern.removesuffix("$")
    expression = ".*".join(map(re.escape, body.split("*"))) + ("$" if body != pattern else "")
    assert parse_pattern(pattern.encode()).matches(path.encode()) == bool(re.match(expression, path))
