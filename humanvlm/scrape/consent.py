"""What a site's owner asks of crawlers and of those who train on pictures.

Before a request: ``/robots.txt`` (RFC 9309), ``/.well-known/tdmrep.json`` (TDM Reservation Protocol, W3C Community
Group final report of 10 May 2024) and ``/ai.txt`` (Spawning), each read once an origin. With each answer: the headers
``X-Robots-Tag``, ``Content-Usage``, ``Content-Signal`` and ``tdm-reservation``.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakValueDictionary

from multidict import MultiMapping
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.body import unpacked
from humanvlm.scrape.kept import Kept
from humanvlm.scrape.names import registered_domain
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.robots import (
    MAX_BYTES,
    MAX_STARS,
    MAX_WILD,
    Group,
    Pattern,
    Rules,
    bounded,
    parse_pattern,
    parse_robots,
    parse_rules,
    path_octets,
    product_token,
)
from humanvlm.scrape.usage import HEADERS, forbidden

MAX_AGE_S = 24 * 3600.0  # RFC 9309 section 2.4
FAILED_MAX_AGE_S = 300.0
MAX_KEPT_BYTES = 48 << 20  # of all origins together, in each process of the crawl
# Origins with more to remember have a share of their own, so that those who write much only push out each other.
LARGE_BYTES = 64 << 10
MAX_LARGE_BYTES = 16 << 20
ORIGIN_BYTES = 2000  # of an origin that asks nothing
# Origins whose files are read at once, by requests in flight; a registered domain has a quarter of them, so that its
# own wait for those that do not answer.
ORIGINS = 4
MAX_POLICY = 200  # characters
MAX_INLINE_BODY = 16 << 10  # octets; longer files are read beside the event loop
MAX_INLINE_WORK = 100_000  # octets of a path times patterns; more is compared beside the event loop

# A file that could not be read may forbid anything (RFC 9309 section 2.3.1.4, which is for robots.txt).
UNREACHABLE = {
    "/robots.txt": "robots_unreachable",
    "/ai.txt": "ai_txt_unreachable",
    "/.well-known/tdmrep.json": "tdmrep_unreachable",
}
NO_GROUPS: tuple[Group, ...] = (Group("*", Rules(), {}),)

OPT_OUTS = frozenset(["noai", "noimageai"])
VALUED_DIRECTIVES = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])
# Failures of the origin itself, which its pictures would meet alike: counted as what they are.
OWN_FAILURES = frozenset(["bad_url", "dns_error", "proxy_error"])

_AGENT = re.compile(r"\*|(?=.*[a-z])[^\s;]+")
_LINK = re.compile(r"<[^<>]*>[^<]*")
_LICENSE = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?license[\s\"]|license(?:[\s;,]|$))", re.IGNORECASE)


@dataclass(frozen=True)
class FetchedText:
    """A site's own file: the answer's status, the first ``robots.MAX_BYTES`` bytes of its body as they came, where
    redirects led, and what the body is packed in."""

    status: int
    body: bytes
    url: URL
    encodings: str = ""

    def text(self) -> bytes:
        """The first ``robots.MAX_BYTES`` bytes, unpacked. Raises RefusedError (bad_response)."""
        text = unpacked(self.body, self.encodings, MAX_BYTES) if self.encodings else self.body
        return text[:MAX_BYTES]


# Follows at least five redirects (RFC 9309 section 2.3.1.2), is bounded in time, and raises only RefusedError.
Fetch = Callable[[URL], Awaitable[FetchedText]]
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class TdmRule:
    """One rule of ``tdmrep.json``. policy: where its owner says how a licence can be had; recorded, not evaluated."""

    location: Pattern
    reserved: bool
    policy: str | None = None


@dataclass(frozen=True)
class SitePolicy:
    """What an origin asks of one URL. crawl_delay_s: least seconds between the starts of requests to it, 0 to 60.
    reserved: the rule of ``tdmrep.json`` that reserves the URL, if any."""

    crawl_delay_s: float = 0.0
    reserved: TdmRule | None = None


@dataclass(frozen=True)
class _Site:
    """An origin's files as read. failure: why one of them could not be had; failures: how often in a row."""

    robots: tuple[Group, ...]
    ai: Rules
    tdm: tuple[TdmRule, ...]
    failure: RefusedError | None
    failures: int
    expires: float

    def policy(self, path: bytes) -> SitePolicy:
        """What is asked of a path. Raises RefusedError as ``Consent.check_url`` does."""
        own, *others = self.robots
        rule = own.rules.deciding(path)
        if rule and not rule.allow:
            raise RefusedError("robots_disallow", f"robots.txt: {rule}")
        for group in others:
            rule = group.rules.deciding(path)
            if rule and not rule.allow:
                raise RefusedError("opt_out_ai_agents", f"robots.txt, {group.agent}: {rule}")
        for group in self.robots:
            for name, rules in group.usage.items():
                rule = rules.deciding(path)
                if rule and not rule.allow:
                    raise RefusedError(HEADERS[name], f"robots.txt, {name}: {rule.text}")
        rule = self.ai.deciding(path.lower())
        if rule and not rule.allow:
            raise RefusedError("opt_out_ai_txt", f"ai.txt: {rule}")
        return SitePolicy(own.rules.crawl_delay_s, tdm_reserved(self.tdm, path))

    def work(self, path: bytes) -> int:
        """Octets that may have to be compared for a path."""
        return len(path) * (len(self.tdm) + sum(len(rules.wild) + len(rules.lengths) for rules in self._rules))

    @property
    def memory(self) -> int:
        """Bytes, roughly."""
        tdm = sum(rule.location.memory + len(rule.policy or "") for rule in self.tdm)
        return ORIGIN_BYTES + sum(rules.memory for rules in self._rules) + tdm

    @property
    def _rules(self) -> Iterator[Rules]:
        yield self.ai
        for group in self.robots:
            yield from group.all_rules


class Consent:
    """Asks each origin once for its files, and answers from memory for a day. One an event loop."""

    def __init__(self, config: RawScrape, get: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        """get: reads a site's file. clock: seconds that only increase."""
        self._config = config
        self._agent = product_token(config.user_agent)
        self._also = tuple(map(product_token, config.also_obey))
        self._get = get
        self._clock = clock
        self._small: Kept[URL, _Site] = Kept(MAX_KEPT_BYTES - MAX_LARGE_BYTES)
        self._large: Kept[URL, _Site] = Kept(MAX_LARGE_BYTES)
        self._reading = asyncio.Semaphore(ORIGINS * config.concurrency)
        self._domains: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._loading: dict[URL, asyncio.Task[_Site]] = {}
        # What takes long is done here, one at a time: it costs time and memory, and only those wait who ask for it.
        self._beside = ThreadPoolExecutor(1, "consent")

    async def check_url(self, url: URL) -> SitePolicy:
        """What the site asks about ``url``, before it is requested; to be asked again for each redirect's target.

        Raises RefusedError: robots_disallow, opt_out_ai_agents, opt_out_content_usage, opt_out_content_signal,
        opt_out_ai_txt; robots_unreachable, ai_txt_unreachable, tdmrep_unreachable (transient); bad_url, dns_error,
        proxy_error and those of private addresses when one of the files failed so.
        """
        config = self._config
        if not (config.respect_robots_txt or config.respect_ai_txt or config.respect_tdm_reservation):
            return SitePolicy()
        site = await self._site(url.origin())
        if site.failure:
            raise _again(site.failure)
        path = path_octets(url)
        if site.work(path) <= MAX_INLINE_WORK:
            return site.policy(path)
        return await asyncio.get_running_loop().run_in_executor(self._beside, site.policy, path)

    async def close(self) -> None:
        """Ends what is still being read; to be called before the session behind ``get`` closes."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        self._beside.shutdown(wait=False, cancel_futures=True)

    @property
    def memory(self) -> int:
        """Bytes that what is remembered of all origins takes, roughly."""
        return self._small.bytes + self._large.bytes

    async def _site(self, origin: URL) -> _Site:
        """The origin's files; concurrent askers share one reading, which outlives an asker that gives up."""
        known = self._small.get(origin) or self._large.get(origin)
        if known and known.expires > self._clock():
            return known
        task = self._loading.get(origin)
        if task is None:
            task = asyncio.create_task(self._load(origin, known.failures if known else 0))
            self._loading[origin] = task
            task.add_done_callback(lambda _: self._loading.pop(origin))
        return await asyncio.shield(task)

    async def _load(self, origin: URL, failures: int) -> _Site:
        config = self._config
        no_tdm: tuple[TdmRule, ...] = ()
        domain, share = registered_domain(origin.raw_host or ""), asyncio.Semaphore(config.concurrency)
        async with self._domains.setdefault(domain, share), self._reading:
            (robots, *failed), (ai, *ai_failed), (tdm, *tdm_failed) = await asyncio.gather(
                self._read(origin, "/robots.txt", config.respect_robots_txt, self._robots, NO_GROUPS),
                self._read(origin, "/ai.txt", config.respect_ai_txt, self._ai_rules, Rules()),
                self._read(origin, "/.well-known/tdmrep.json", config.respect_tdm_reservation, _tdm_rules, no_tdm),
            )
        failure = next((refusal for refusal in (*failed, *ai_failed, *tdm_failed) if refusal), None)
        failures = failures + 1 if failure else 0
        # A first failure is not kept, so that the asker's next attempt is a real one.
        kept_s = MAX_AGE_S if not failure else FAILED_MAX_AGE_S if failures > 1 else 0.0
        site = _Site(robots, ai, tdm, failure, failures, self._clock() + kept_s)
        self._small.discard(origin)
        self._large.discard(origin)
        memory = site.memory
        (self._large if memory > LARGE_BYTES else self._small).put(origin, site, memory)
        return site

    def _robots(self, answer: FetchedText) -> tuple[Group, ...]:
        groups = parse_robots(answer.text(), self._agent, self._also)
        if self._config.respect_content_usage:
            return groups
        return tuple(replace(group, usage={}) for group in groups)

    def _ai_rules(self, answer: FetchedText) -> Rules:
        return parse_rules(answer.text().lower(), self._agent)  # *.jpg means .JPG too

    async def _read(
        self, origin: URL, path: str, wanted: bool, parse: Callable[[FetchedText], Parsed], nothing: Parsed
    ) -> tuple[Parsed, RefusedError | None]:
        """What the file says, nothing when the site has none (RFC 9309 section 2.3.1), and why it could not be had."""
        if not wanted:
            return nothing, None
        try:
            answer = await self._get(origin.join(URL(path)))
            if 200 <= answer.status < 300:
                if len(answer.body) <= MAX_INLINE_BODY and not answer.encodings:
                    return parse(answer), None
                return await asyncio.get_running_loop().run_in_executor(self._beside, parse, answer), None
        except RefusedError as refusal:
            return nothing, _failure(path, refusal)
        if 300 <= answer.status < 500 and answer.status != 429:  # 429 says "later", not "there is none"
            return nothing, None
        return nothing, RefusedError(UNREACHABLE[path], f"{path}: HTTP {answer.status}", transient=True)


def tdm_reserved(rules: Iterable[TdmRule], path: bytes) -> TdmRule | None:
    """The rule that reserves a path, if the first one that matches does (TDMRep, "TDM File on the Origin")."""
    rule = next((rule for rule in rules if rule.location.matches(path)), None)
    return rule if rule and rule.reserved else None


def _failure(path: str, refusal: RefusedError) -> RefusedError | None:
    """What it means that a file could not be read; None when it may be taken as absent."""
    if refusal.reason == "too_many_redirects":  # section 2.3.1.2
        return None
    if refusal.reason in OWN_FAILURES or refusal.reason.endswith("_address"):
        return RefusedError(refusal.reason, f"{path}: {refusal.detail}", transient=refusal.transient)
    return RefusedError(UNREACHABLE[path], f"{path}: {refusal.reason}: {refusal.detail}", transient=True)


def _again(refusal: RefusedError) -> RefusedError:
    """A copy, since an exception that is raised twice gathers tracebacks."""
    return RefusedError(refusal.reason, refusal.detail, transient=refusal.transient)


def parse_tdmrep(body: bytes) -> Iterator[TdmRule]:
    """The rules of ``tdmrep.json``, in their order; none when it is malformed, and without those that are.

    Patterns that are too long, or more than ``robots.MAX_WILD``, are read as in robots.txt: what they reserve grows,
    and what they release is left out.
    """
    try:
        rows = json.loads(body)
    except (ValueError, RecursionError):
        return
    count = 0
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        location, value, policy = row.get("location"), row.get("tdm-reservation"), row.get("tdm-policy")
        if isinstance(location, str) and value in (0, 1, "0", "1"):
            reserved, text = value in (1, "1"), location.encode(errors="replace")
            count += 1
            kept = bounded(text, MAX_STARS) if count <= MAX_WILD else b""
            if reserved or kept == text:
                policy = policy[:MAX_POLICY] if isinstance(policy, str) else None
                yield TdmRule(parse_pattern(kept), reserved, policy)
            if reserved and not kept:  # everything else is reserved
                return


def _tdm_rules(answer: FetchedText) -> tuple[TdmRule, ...]:
    return tuple(parse_tdmrep(answer.text()))


def directives(values: Iterable[str], agents: Collection[str]) -> Iterator[str]:
    """The directives for these agents or everyone in ``X-Robots-Tag`` headers, in lower case, without their values.

    ``otherbot: noai, noindex`` is for otherbot alone, up to the next agent or the end of that header. Colons also stand
    in ``max-snippet: 20`` and in the times of ``unavailable_after``: what precedes them is not an agent's name.
    """
    for value in values:
        ours = True
        for piece in value.lower().split(","):
            text = piece.strip()
            name, colon, rest = (part.strip() for part in text.partition(":"))
            while colon and name not in VALUED_DIRECTIVES and _AGENT.fullmatch(name):
                ours = product_token(name) in ("*", *agents)
                text = rest
                name, colon, rest = (part.strip() for part in text.partition(":"))
            if ours:
                yield from (name,) if name in VALUED_DIRECTIVES else text.replace(";", " ").split()


def check_headers(headers: MultiMapping[str], config: RawScrape, *, reserved: TdmRule | None = None) -> None:
    """Whether an answer may be used, by its headers and by the rule of ``tdmrep.json`` that they override.

    Raises RefusedError: opt_out_noai, opt_out_content_usage, opt_out_content_signal, opt_out_tdm.
    """
    tags = headers.getall("X-Robots-Tag", [])
    agents = [product_token(name) for name in (config.user_agent, *config.also_obey)] if tags else ()
    if config.respect_x_robots_tag and not OPT_OUTS.isdisjoint(directives(tags, agents)):
        raise RefusedError("opt_out_noai", f"X-Robots-Tag: {', '.join(tags)}")
    if config.respect_content_usage:
        for name, reason in HEADERS.items():
            statement = ", ".join(headers.getall(name, []))
            if forbidden(statement):
                raise RefusedError(reason, f"{name}: {statement}")
    if not config.respect_tdm_reservation:
        return
    values = {value.strip() for line in headers.getall("tdm-reservation", []) for value in line.split(",")}
    if "1" in values:
        raise RefusedError("opt_out_tdm", f"tdm-reservation: 1 {headers.get('tdm-policy', '')}")
    if reserved and "0" not in values:
        raise RefusedError("opt_out_tdm", f"tdmrep.json: {reserved.location.text} {reserved.policy or ''}")


def relevant_headers(headers: MultiMapping[str]) -> dict[str, str]:
    """The answer's headers on consent and licence, for provenance; several of one name are separate lines.

    Of ``Link`` (RFC 8288), only the links with ``rel=license``.
    """
    names = ("x-robots-tag", "tdm-reservation", "tdm-policy", *map(str.lower, HEADERS))
    found = {name: headers.getall(name, []) for name in names}
    links = (link for line in headers.getall("Link", []) for link in _LINK.findall(line))
    found["link"] = [link.strip(" ,") for link in links if _LICENSE.search(link)]
    return {name: "\n".join(values) for name, values in found.items() if values}
