"""robots.txt rules by RFC 9309: which group is ours, and which of its rules decides about a path.

Written out rather than borrowed, because the parsers at hand differ from the RFC where it matters to a site's owner:
agents matched by substring, a group ended by Crawl-delay or an unknown line, the order of rules instead of their
length. ``ai.txt`` has the same syntax, and ``tdmrep.json`` the same path patterns.

A file may be written to cost its reader much. Beyond half a mebibyte nothing is read (section 2.5 allows a limit), and
what is too long or one too many within that is shortened: a Disallow then forbids more than it says, and an Allow is
left out, so that nothing is taken that the owner withheld.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import unquote_to_bytes

from yarl import URL

MAX_BYTES = 500 * 1024  # section 2.5: at least 500 KiB must be parsed
MAX_RULES = 10_000  # of one agent
MAX_WILD = 500  # of those, rules that a path is compared with one by one
MAX_PATTERN = 2000  # octets as written
MAX_STARS = 16  # in one pattern
MAX_CRAWL_DELAY_S = 60.0
ENTRY_BYTES = 150  # memory of a prefix beside its octets
PART_BYTES = 50  # the same of a part of a pattern
BOM = b"\xef\xbb\xbf"
ASCII = bytes(range(128))

_STARS = re.compile(rb"\*+")
_CUT_ESCAPE = re.compile(rb"%[0-9A-Fa-f]?\Z")
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
    """

    text: str
    parts: tuple[bytes, ...]

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

    @property
    def prefix(self) -> bytes | None:
        """What a path has to start with, where nothing else is asked of it."""
        return self.parts[0] if len(self.parts) == 2 and not self.parts[1] else None

    @property
    def memory(self) -> int:
        """Bytes, roughly."""
        return ENTRY_BYTES + len(self.text) + sum(len(part) + PART_BYTES for part in self.parts)


def parse_pattern(text: bytes) -> Pattern:
    """The pattern written as ``text``, which may be any octets; ``/%61?b`` and ``/a%3Fb`` are the same."""
    pattern = text[:-1] if text.endswith(b"$") else text + b"*"
    parts = tuple(map(unquote_to_bytes, re.split(rb"\*+", pattern)))
    return Pattern(text.decode(errors="replace"), parts)


def octets_of(text: bytes) -> int:
    """The length of a pattern, by which the most specific match is chosen; octets beyond ASCII count as encoded."""
    plain = unquote_to_bytes(text)
    return len(plain) + 2 * len(plain.translate(None, ASCII))


def bounded(text: bytes, most_stars: int) -> bytes:
    """The pattern itself, or the start of one that is too long, which matches whatever the whole one does."""
    start = text[:MAX_PATTERN]
    stars = [star.start() for star in islice(_STARS.finditer(start), most_stars + 1)]
    if len(stars) > most_stars:
        start = start[: stars[most_stars]]
    return text if len(start) == len(text) else _CUT_ESCAPE.sub(b"", start).rstrip(b"$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One Allow or Disallow line. text: its pattern."""

    allow: bool
    text: str

    def __str__(self) -> str:
        return f"{'Allow' if self.allow else 'Disallow'}: {self.text}"


@dataclass(frozen=True)
class Rules:
    """The rules for one agent. crawl_delay_s: seconds between requests, at most 60.

    A rule's rank is twice the octets of its pattern, and one more for an Allow: the highest one that matches decides
    (section 2.2.2). prefixes: rank of the rules that only ask for the start of a path; lengths: of these, in octets.
    wild: the others with their ranks, the highest first.
    """

    prefixes: Mapping[bytes, int] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    wild: tuple[tuple[int, Pattern], ...] = ()
    crawl_delay_s: float = 0.0

    def deciding(self, path: bytes) -> Rule | None:
        """The longest rule that matches, Allow before Disallow; None, which allows, when none does."""
        rank, found = -1, b""
        for length in self.lengths:
            if length > len(path):
                break
            here = self.prefixes.get(path[:length], -1)
            if here > rank:
                rank, found = here, path[:length]
        for wild_rank, pattern in self.wild:
            if wild_rank <= rank:
                break
            if pattern.matches(path):
                return Rule(bool(wild_rank % 2), pattern.text)
        return Rule(bool(rank % 2), found.decode(errors="replace")) if rank >= 0 else None

    @property
    def memory(self) -> int:
        """Bytes, roughly."""
        return sum(len(prefix) + ENTRY_BYTES for prefix in self.prefixes) + sum(one.memory for _, one in self.wild)


@dataclass
class _Group:
    """The rules of one agent as they are read. count: of its lines."""

    prefixes: dict[bytes, int] = field(default_factory=dict)
    wild: list[tuple[int, Pattern]] = field(default_factory=list)
    count: int = 0
    crawl_delay_s: float = 0.0

    def add(self, allow: bool, text: bytes) -> None:
        self.count += 1
        kept = bounded(text, MAX_STARS) if self.count <= MAX_RULES else b""
        pattern = parse_pattern(kept)
        if pattern.prefix is None and len(self.wild) >= MAX_WILD:
            kept = bounded(text.rstrip(b"$"), 0)
            pattern = parse_pattern(kept)
        if allow and kept != text:
            return
        rank = 2 * octets_of(text) + allow
        if pattern.prefix is None:
            self.wild.append((rank, pattern))
        else:
            self.prefixes[pattern.prefix] = max(rank, self.prefixes.get(pattern.prefix, -1))

    def rules(self) -> Rules:
        wild = sorted(self.wild, key=lambda ranked: -ranked[0])
        return Rules(self.prefixes, tuple(sorted(set(map(len, self.prefixes)))), tuple(wild), self.crawl_delay_s)


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
            if value:
                for group in current.values():
                    group.add(key == b"allow", value)
        elif key == b"crawl-delay":
            for group in current.values():
                group.crawl_delay_s = max(group.crawl_delay_s, _seconds(value))
    return (groups.get(agent) or groups.get("*") or _Group()).rules()


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
