"""robots.txt rules by RFC 9309: which group is ours, and which of its rules decides about a path.

Written out rather than borrowed, because the parsers at hand differ from the RFC where it matters to a site's owner:
agents matched by substring, a group ended by Crawl-delay or an unknown line, the order of rules instead of their
length. ``ai.txt`` has the same syntax, and ``tdmrep.json`` the same path patterns.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from yarl import URL

MAX_BYTES = 500 * 1024  # section 2.5: at least 500 KiB must be parsed
MAX_CRAWL_DELAY_S = 60.0
BOM = b"\xef\xbb\xbf"
ASCII = bytes(range(128))

_TOKEN = re.compile(rb"\*(?=\s|$)|[^\s/*]+")


def product_token(user_agent: str) -> str:
    """The name under which sites address a crawler: ``HumanVLM/0.1 (…)`` is ``humanvlm`` (section 2.2.1)."""
    return re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0].lower()


def path_octets(url: URL) -> bytes:
    """The path and query as patterns are compared with: octets, percent-encoding undone (section 2.2.2)."""
    return unquote_to_bytes(url.raw_path_qs)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern, in which ``*`` is any run of octets and a final ``$`` the end (section 2.2.3).

    text: as written. parts: the octets between stars, the first a prefix and the last a suffix of what matches.
    octets: its length, by which the most specific match is chosen.
    """

    text: str
    parts: tuple[bytes, ...]
    octets: int

    def matches(self, path: bytes) -> bool:
        head, *rest = self.parts
        if not rest:
            return path == head
        *middle, tail = rest
        at, end = len(head), len(path) - len(tail)
        if at > end or not path.startswith(head) or not path.endswith(tail):
            return False
        for part in middle:
            at = path.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


def parse_pattern(text: bytes) -> Pattern:
    """The pattern written as ``text``, which may be any octets; ``/%61?b`` and ``/a%3Fb`` are the same."""
    pattern = text[:-1] if text.endswith(b"$") else text + b"*"
    parts = tuple(map(unquote_to_bytes, re.split(rb"\*+", pattern)))
    plain = unquote_to_bytes(text)
    octets = len(plain) + 2 * len(plain.translate(None, ASCII))  # those beyond ASCII count percent-encoded
    return Pattern(text.decode(errors="replace"), parts, octets)


@dataclass(frozen=True, slots=True)
class Rule:
    """One Allow or Disallow line."""

    allow: bool
    pattern: Pattern

    def __str__(self) -> str:
        return f"{'Allow' if self.allow else 'Disallow'}: {self.pattern.text}"


@dataclass(frozen=True)
class Rules:
    """The rules for one agent, the most specific first. crawl_delay_s: seconds between requests, at most 60."""

    rules: tuple[Rule, ...] = ()
    crawl_delay_s: float = 0.0

    def deciding(self, path: bytes) -> Rule | None:
        """The longest rule that matches, Allow before Disallow (section 2.2.2); None, which allows, when none does."""
        return next((rule for rule in self.rules if rule.pattern.matches(path)), None)


@dataclass
class _Group:
    rules: list[Rule] = field(default_factory=list)
    crawl_delay_s: float = 0.0


def parse_rules(body: bytes, agent: str) -> Rules:
    """The rules of the groups that name ``agent``, or else of those for ``*`` (section 2.2.1). Never raises.

    Groups of one agent are merged. Only Allow and Disallow end a list of agents: other lines must not interfere with
    groups (section 2.2.4).
    """
    groups: dict[str, _Group] = {}
    current: dict[str, _Group] = {}
    naming_agents = False
    for key, value in _lines(body):
        if key == b"user-agent":
            if not naming_agents:
                current, naming_agents = {}, True
            token = _TOKEN.match(value)
            name = token[0].decode(errors="replace").lower() if token else ""
            if name in (agent, "*"):
                current[name] = groups.setdefault(name, _Group())
        elif key in (b"allow", b"disallow"):
            naming_agents = False
            if value and current:
                rule = Rule(key == b"allow", parse_pattern(value))
                for group in current.values():
                    group.rules.append(rule)
        elif key == b"crawl-delay":
            for group in current.values():
                group.crawl_delay_s = max(group.crawl_delay_s, _seconds(value))
    ours = groups.get(agent) or groups.get("*") or _Group()
    ordered = sorted(ours.rules, key=lambda rule: (-rule.pattern.octets, not rule.allow))
    return Rules(tuple(ordered), ours.crawl_delay_s)


def _lines(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys, in lower case, and values; without comments, and without a last line that the limit of bytes cut."""
    kept = body[:MAX_BYTES]
    if len(body) >= MAX_BYTES:
        kept = kept[: max(kept.rfind(b"\n"), kept.rfind(b"\r")) + 1]
    for line in kept.removeprefix(BOM).splitlines():
        key, colon, value = line.partition(b"#")[0].partition(b":")
        if colon:
            yield key.strip().lower(), value.strip()


def _seconds(text: bytes) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), MAX_CRAWL_DELAY_S) if math.isfinite(value) else 0.0
