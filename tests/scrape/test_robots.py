import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from humanvlm.scrape import robots
from humanvlm.scrape.robots import MAX_BYTES, parse_pattern, parse_robots, parse_rules, path_octets, product_token

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
    rules = parse_rules(b"User-agent: *\n" * 15_000 + b"".join(b"Disallow: /a*%d*\n" % n for n in range(9)), AGENT)
    assert len(rules.wild) == 9


def test_many_rules_are_found_by_their_length_and_not_one_by_one() -> None:
    body = b"User-agent: *\n" + b"".join(b"Disallow: /%d\nAllow: /%d/a*\n" % (n, n) for n in range(4000))
    rules = parse_rules(body, AGENT)
    assert len(rules.prefixes) == 8000
    assert not rules.wild
    assert len(rules.lengths) == 6
    assert not allows(body, "/3999/b")
    assert allows(body, "/3999/ab")
    assert allows(body, "/x")


PATTERNS = st.lists(st.tuples(st.booleans(), st.text("ab%4*$", min_size=1, max_size=9)), max_size=12)


LIMITS = st.fixed_dictionaries(
    {
        "MAX_RULES": st.integers(0, 4),
        "MAX_WILD": st.integers(0, 4),
        "MAX_PATTERN": st.integers(1, 5),
        "MAX_STARS": st.integers(0, 2),
    }
)


@given(PATTERNS, st.text("ab%4$", max_size=9), LIMITS)
def test_what_is_too_long_or_one_too_many_forbids_more_and_never_less(
    lines: list[tuple[bool, str]], path: str, limits: dict[str, int]
) -> None:
    text = "User-agent: *\n" + "\n".join(f"{'Allow' if allow else 'Disallow'}: {rule}" for allow, rule in lines)
    all_of_it = parse_rules(text.encode(), AGENT).deciding(path.encode())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(robots, name, value)
        part = parse_rules(text.encode(), AGENT)
    assert len(part.wild) <= limits["MAX_WILD"]
    assert len(part.prefixes) <= limits["MAX_RULES"] + 1
    assert all(len(pattern.text) <= limits["MAX_PATTERN"] for _, pattern in part.wild)
    found = part.deciding(path.encode())
    if all_of_it and not all_of_it.allow:
        assert found
        assert not found.allow


@pytest.mark.parametrize(
    "line",
    [
        b"allow:*aab\n",
        b"disallow:*" + b"a" * 40 + b"b" + b"a" * 40 + b"\n",
        b"disallow:" + b"*ab" * 170_000 + b"\n",
        b"allow:" + b"*ab" * 170_000 + b"\n",
        b"disallow:/a$\n",
        b"disallow:/" + b"a" * 500_000,
        b"disallow:" + b"*" * 500_000,
        b"disallow:" + b"%" * 500_000,
        b"disallow:" + b"$" * 500_000,
    ],
)
def test_no_file_takes_more_than_a_bounded_share(line: bytes) -> None:
    rules = parse_rules((b"user-agent:*\n" + line * (MAX_BYTES // len(line)))[:MAX_BYTES], AGENT)
    assert len(rules.wild) <= robots.MAX_WILD
    assert len(rules.prefixes) <= robots.MAX_RULES
    assert all(len(pattern.parts) <= robots.MAX_STARS + 2 for _, pattern in rules.wild)
    assert rules.memory <= 4 << 20


@given(st.binary(max_size=200), st.binary(max_size=50))
@example(b"User-agent:*\nDisallow:*" + b"*a" * 80 + b"$", b"a" * 79)
def test_no_octets_break_the_robots_parser(body: bytes, path: bytes) -> None:
    rules = parse_rules(b"User-agent: *\n" + body, AGENT)
    rule = rules.deciding(path)
    assert (
        rule is None
        or rule.text in {pattern.text for _, pattern in rules.wild}
        or path.startswith(tuple(rules.prefixes))
    )


@given(st.text("ab*$", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_their_regular_expression_does(pattern: str, path: str) -> None:
    body = pattern.removesuffix("$")
    expression = ".*".join(map(re.escape, body.split("*"))) + ("$" if body != pattern else "")
    assert parse_pattern(pattern.encode()).matches(path.encode()) == bool(re.match(expression, path))


def usage_of(body: str, path: str, name: str = "Content-Usage") -> bool | None:
    """Whether a path's content may be used, by the statements of our group; None: none is about it."""
    rules = parse_robots(body.encode(), AGENT)[0].usage.get(name)
    rule = rules.deciding(path.encode()) if rules else None
    return rule.allow if rule else None


DRAFT = """
User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: / train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: / train-ai=y
"""


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (DRAFT, "/test", False),
        (DRAFT, "/ai-ok/test", True),
        ("User-agent: *\nContent-Usage: train-ai=n", "/a", False),  # as first drafts had it, without a path
        ("User-agent: *\ncontent-usage : /a\ttrain-ai=n # no", "/a/b", False),
        ("User-agent: *\nContent-Usage: /a train-ai=n", "/b", None),
        ("User-agent: *\nContent-Usage: /*.jpg$ train-ai=n", "/b/c.jpg", False),
        ("User-agent: *\nContent-Usage: / search=n", "/a", True),  # a statement, but about nothing that is done here
        ("User-agent: *\nContent-Usage: /a train-ai=y\nContent-Usage: /a train-ai=n", "/a", False),
        ("User-agent: *\nContent-Usage: /a train-ai=n\nContent-Usage: /a train-ai=y", "/a", False),
        ("User-agent: *\nContent-Usage:\nContent-Usage: /", "/a", True),
        ("Content-Usage: / train-ai=n", "/a", None),  # in no group
        ("User-agent: other\nContent-Usage: / train-ai=n", "/a", None),
        ("User-agent: other\nContent-Usage: / train-ai=n\nUser-agent: *\nAllow: /", "/a", None),  # it ends the list
        ("User-agent: *\nContent-Usage: / train-ai=n\nUser-agent: humanvlm\nAllow: /", "/a", None),
    ],
)
def test_statements_of_use_are_rules_of_groups_and_paths(body: str, path: str, expected: bool | None) -> None:
    assert usage_of(body, path) is expected


def test_a_content_signal_is_one_too() -> None:
    body = "# Content signals\nUser-Agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /\n"
    assert usage_of(body, "/a", "Content-Signal") is False
    assert usage_of(body, "/a") is None


def test_too_many_statements_forbid_more() -> None:
    lines = "".join(f"Content-Usage: /{n} train-ai=y\n" for n in range(robots.MAX_FURTHER_RULES + 1))
    assert usage_of(f"User-agent: *\n{lines}", "/x") is None
    assert usage_of(f"User-agent: *\n{lines}Content-Usage: /y train-ai=n", "/x") is False


def test_groups_of_further_agents_are_given_once_and_only_where_they_are_named() -> None:
    body = b"""User-agent: GPTBot
User-agent: CCBot
Disallow: /a

User-agent: Bytespider
Disallow: /b

User-agent: *
Disallow: /c
"""
    groups = parse_robots(body, AGENT, ("ccbot", "gptbot", "bytespider", "absent"))
    assert [group.agent for group in groups] == [AGENT, "ccbot", "bytespider"]
    verdicts = [[group.rules.deciding(path) is None for path in (b"/a", b"/b", b"/c")] for group in groups]
    assert verdicts == [[True, True, False], [False, True, True], [True, False, True]]
    assert len(parse_robots(body.replace(b"*", b"HumanVLM"), AGENT, ("ccbot", "gptbot"))) == 1
    assert len(parse_robots(b"User-agent: *\nUser-agent: CCBot\nDisallow: /", AGENT, ("ccbot",))) == 1
