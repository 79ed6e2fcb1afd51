"""robots.txt rules by RFC 9309: which group is ours, and which of its rules decides about a path.

Written out rather than borrowed, because the parsers at hand differ from the RFC where it matters to a site's owner:
agents matched by substring, a group ended by Crawl-delay or an unknown line, the order of rules instead of their
length. ``ai.txt`` has the same syntax, and ``tdmrep.json`` the same path patterns. The lines ``Content-Usage`` and
``Content-Signal`` state by path what the content may be used for (``usage``).

A file may be written to cost its reader much. Beyond half a mebibyte nothing is read (section 2.5 allows a limit), and
what is too long or one too many within that is shortened: a Disallow then forbids more than it says, and an Allow is
left out, so that nothing is taken that the owner withheld.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from urllib.parse import unquote_to_bytes

from yarl import URL

from humanvlm.scrape.usage import HEADERS, forbidden

MAX_BYTES = 500 * 1024  # section 2.5: at least 500 KiB must be parsed
MAX_RULES = 10_000  # of our group
MAX_FURTHER_RULES = 2000  # of the group of each further agent, and of statements of use
MAX_WILD = 500  # of those, rules that a path is compared with one by one
MAX_PATTERN = 2000  # octets as written
MAX_STARS = 16  # in one pattern
MAX_CRAWL_DELAY_S = 60.0
ENTRY_BYTES = 150  # memory of a prefix beside its octets
PART_BYTES = 50  # the same of a part of a pattern
BOM = b"\xef\xbb\xbf"
ASCII = bytes(range(128))

USAGE = {name.lower().encode(): name for name in HEADERS}
RULES = frozenset([b"allow", b"disallow", *USAGE])

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
class _Builder:
    """The rules of one agent as they are read. most: of them; count: of its lines."""

    most: int
    prefixes: dict[bytes, int] = field(default_factory=dict)
    wild: list[tuple[int, Pattern]] = field(default_factory=list)
    count: int = 0

    def add(self, allow: bool, text: bytes) -> None:
        self.count += 1
        kept = bounded(text, MAX_STARS) if self.count <= self.most else b""
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
        return Rules(self.prefixes, tuple(sorted(set(map(len, self.prefixes)))), tuple(wild))


@dataclass(frozen=True)
class Group:
    """What one agent is asked for. usage: by the name of the statement (``usage.HEADERS``), rules of which a Disallow
    is a path whose content is not to be used."""

    agent: str
    rules: Rules
    usage: Mapping[str, Rules]

    @property
    def all_rules(self) -> tuple[Rules, ...]:
        return self.rules, *self.usage.values()


@dataclass
class _Block:
    """Lines under one list of agents. agents: those of them that matter, and the delay after each; lines: keys and
    values of rules."""

    agents: dict[str, float] = field(default_factory=dict)
    lines: list[tuple[bytes, bytes]] = field(default_factory=list)


def parse_robots(body: bytes, agent: str, also: Collection[str] = ()) -> tuple[Group, ...]:
    """The group of ``agent``; or else that for ``*`` (section 2.2.1), and then those of the agents in ``also`` that the
    file names, of which one that several share comes once. Never raises.

    Blocks of one agent are merged. Only rules end a list of agents, among them the statements of use: other lines must
    not interfere with groups (section 2.2.4).
    """
    blocks = _blocks(body, {agent, "*", *also})

    def of(name: str) -> tuple[int, ...]:
        return tuple(number for number, block in enumerate(blocks) if name in block.agents)

    named = of(agent)
    own = named or of("*")
    names = {own: agent}
    for name in also:
        if not named and (found := of(name)):
            names.setdefault(found, name)
    groups = [
        _group(name, [blocks[number] for number in found], MAX_RULES if found == own else MAX_FURTHER_RULES)
        for found, name in names.items()
    ]
    delay_s = max((block.agents.get(agent if named else "*", 0.0) for block in blocks), default=0.0)
    return replace(groups[0], rules=replace(groups[0].rules, crawl_delay_s=delay_s)), *groups[1:]


def parse_rules(body: bytes, agent: str) -> Rules:
    """What the group of ``agent``, or else that for ``*``, allows and disallows. Never raises."""
    return parse_robots(body, agent)[0].rules


def _blocks(body: bytes, agents: Collection[str]) -> list[_Block]:
    """The blocks that name any of these agents."""
    blocks: list[_Block] = []
    current, naming_agents = _Block(), False
    for key, value in _lines(body):
        if key == b"user-agent":
            if not naming_agents:
                current, naming_agents = _Block(), True
            token = _TOKEN.match(value)
            name = token[0].decode(errors="replace").lower() if token else ""
            if name in agents:
                if not current.agents:
                    blocks.append(current)
                current.agents.setdefault(name, 0.0)
        elif key in RULES:
            naming_agents = False
            if value and current.agents:
                current.lines.append((key, value))
        elif key == b"crawl-delay":
            for name, delay_s in current.agents.items():
                current.agents[name] = max(delay_s, _seconds(value))
    return blocks


def _group(agent: str, blocks: Sequence[_Block], most: int) -> Group:
    rules = _Builder(most)
    usage: dict[str, dict[bytes, bool]] = {}
    for block in blocks:
        for key, value in block.lines:
            if name := USAGE.get(key):
                path, statement = _usage(value)
                # Of several statements about one path the strictest holds.
                stated = usage.setdefault(name, {})
                stated[path] = stated.get(path, False) or forbidden(statement) is not None
            else:
                rules.add(key == b"allow", value)
    return Group(agent, rules.rules(), {name: _usage_rules(stated) for name, stated in usage.items()})


def _usage(value: bytes) -> tuple[bytes, str]:
    """The path and the statement of a line; without a path it is about everything."""
    path, *rest = value.split(None, 1) if value.startswith((b"/", b"*")) else (b"/", value)
    return path, rest[0].decode("latin-1") if rest else ""


def _usage_rules(stated: Mapping[bytes, bool]) -> Rules:
    group = _Builder(MAX_FURTHER_RULES)
    for path, forbids in stated.items():
        group.add(not forbids, path)
    return group.rules()


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
