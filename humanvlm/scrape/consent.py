"""What a site's owner asks of crawlers and of those who train on pictures.

Before a request: ``/robots.txt`` (RFC 9309), ``/.well-known/tdmrep.json`` (TDM Reservation Protocol, W3C Community
Group final report of 10 May 2024) and ``/ai.txt`` (Spawning), each read once an origin. With each answer: the headers
``X-Robots-Tag``, ``Content-Usage``, ``Content-Signal`` and ``tdm-reservation``.
"""

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from multidict import MultiMapping
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.robots import Pattern, Rules, parse_pattern, parse_rules, path_octets, product_token
from humanvlm.scrape.usage import HEADERS, forbidden

MAX_AGE_S = 24 * 3600.0  # RFC 9309 section 2.4
FAILED_MAX_AGE_S = 300.0
MAX_ORIGINS = 10_000
MAX_RULES = 1_000_000  # of all origins kept together, some 200 bytes each

OPT_OUTS = frozenset(["noai", "noimageai"])
VALUED_DIRECTIVES = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])
# Failures of the origin itself, which its pictures would meet alike: counted as what they are.
OWN_FAILURES = frozenset(["bad_url", "dns_error", "proxy_error"])

_AGENT = re.compile(r"\*|(?=.*[a-z])[^\s;]+")
_LINK = re.compile(r"<[^<>]*>[^<]*")
_LICENSE = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?license[\s\"]|license(?:[\s;,]|$))", re.IGNORECASE)


@dataclass(frozen=True)
class FetchedText:
    """A site's own file: the answer's status, its first ``robots.MAX_BYTES`` bytes, and where redirects led."""

    status: int
    body: bytes
    url: URL


# Follows at least five redirects (RFC 9309 section 2.3.1.2), is bounded in time, and raises only RefusedError.
Fetch = Callable[[URL], Awaitable[FetchedText]]


@dataclass(frozen=True, slots=True)
class TdmRule:
    """One rule of ``tdmrep.json``. policy: where its owner says how a licence can be had; recorded, not evaluated."""

    location: Pattern
    reserved: bool
    policy: str | None = None


@dataclass(frozen=True)
class SitePolicy:
    """What an origin's files ask. crawl_delay_s: least seconds between the starts of requests to it, 0 to 60."""

    crawl_delay_s: float = 0.0
    tdm: tuple[TdmRule, ...] = ()

    def tdm_reserved(self, url: URL) -> TdmRule | None:
        """The rule that reserves ``url``, if the first one that matches does (TDMRep, "TDM File on the Origin")."""
        path = path_octets(url)
        rule = next((rule for rule in self.tdm if rule.location.matches(path)), None)
        return rule if rule and rule.reserved else None


@dataclass(frozen=True)
class _Site:
    """An origin's files as read. failure: why robots.txt could not be had; failures: how often in a row."""

    robots: Rules
    ai: Rules
    policy: SitePolicy
    failure: RefusedError | None
    failures: int
    expires: float


class Consent:
    """Asks each origin once for its files, and answers from memory for a day. One an event loop."""

    def __init__(self, config: RawScrape, get: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        """get: reads a site's file. clock: seconds that only increase."""
        self._config = config
        self._agent = product_token(config.user_agent)
        self._get = get
        self._clock = clock
        self._sites: OrderedDict[URL, asyncio.Task[_Site]] = OrderedDict()
        self._loading: set[asyncio.Task[_Site]] = set()
        self._rules: dict[URL, int] = {}
        self._total = 0

    async def check_url(self, url: URL) -> SitePolicy:
        """What the site asks about ``url``, before it is requested; to be asked again for each redirect's target.

        Raises RefusedError: robots_disallow, robots_unreachable (transient), opt_out_ai_txt; bad_url, dns_error,
        proxy_error and those of private addresses when robots.txt failed so.
        """
        config = self._config
        if not (config.respect_robots_txt or config.respect_ai_txt or config.respect_tdm_reservation):
            return SitePolicy()
        site = await self._site(url.origin())
        if site.failure:
            raise _again(site.failure)
        path = path_octets(url)
        rule = site.robots.deciding(path)
        if rule and not rule.allow:
            raise RefusedError("robots_disallow", f"robots.txt: {rule}")
        rule = site.ai.deciding(path.lower())
        if rule and not rule.allow:
            raise RefusedError("opt_out_ai_txt", f"ai.txt: {rule}")
        return site.policy

    async def close(self) -> None:
        """Ends what is still being read; to be called before the session behind ``get`` closes."""
        for task in self._loading:
            task.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)

    async def _site(self, origin: URL) -> _Site:
        """The origin's files; concurrent askers share one reading, which outlives an asker that gives up."""
        task = self._sites.get(origin)
        known = _result(task) if task and task.done() else None
        if task is None or (task.done() and (known is None or known.expires <= self._clock())):
            self._forget(origin)
            task = asyncio.create_task(self._load(origin, known.failures if known else 0))
            self._sites[origin] = task
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        self._sites.move_to_end(origin)
        return task.result() if task.done() else await asyncio.shield(task)

    def _keep(self, origin: URL, rules: int) -> None:
        """Counts what was read, and forgets the origins that were not asked about for longest."""
        if self._sites.get(origin) is asyncio.current_task():
            self._rules[origin] = rules
            self._total += rules
        while len(self._sites) > 1 and (len(self._sites) > MAX_ORIGINS or self._total > MAX_RULES):
            self._forget(next(iter(self._sites)))

    def _forget(self, origin: URL) -> None:
        self._sites.pop(origin, None)
        self._total -= self._rules.pop(origin, 0)

    async def _load(self, origin: URL, failures: int) -> _Site:
        config = self._config
        (robots, failure), (ai, _), (tdm, _) = await asyncio.gather(
            self._read(origin, "/robots.txt", config.respect_robots_txt),
            self._read(origin, "/ai.txt", config.respect_ai_txt),
            self._read(origin, "/.well-known/tdmrep.json", config.respect_tdm_reservation),
        )
        rules = parse_rules(robots, self._agent)
        ai_rules = parse_rules(ai.lower(), self._agent)  # *.jpg means .JPG too
        tdm_rules = tuple(parse_tdmrep(tdm))
        self._keep(origin, len(rules.rules) + len(ai_rules.rules) + len(tdm_rules))
        failures = failures + 1 if failure else 0
        # A first failure is not kept, so that the asker's next attempt is a real one.
        kept_s = MAX_AGE_S if not failure else FAILED_MAX_AGE_S if failures > 1 else 0.0
        policy = SitePolicy(rules.crawl_delay_s, tdm_rules)
        return _Site(rules, ai_rules, policy, failure, failures, self._clock() + kept_s)

    async def _read(self, origin: URL, path: str, wanted: bool) -> tuple[bytes, RefusedError | None]:
        """The file, empty when the site has none (RFC 9309 section 2.3.1), and why it could not be had."""
        if not wanted:
            return b"", None
        try:
            answer = await self._get(origin.join(URL(path)))
        except RefusedError as refusal:
            return b"", _failure(path, refusal)
        if 200 <= answer.status < 300:
            return answer.body, None
        if 300 <= answer.status < 500 and answer.status != 429:  # 429 says "later", not "there is none"
            return b"", None
        return b"", RefusedError("robots_unreachable", f"{path}: HTTP {answer.status}", transient=True)


def _result(task: asyncio.Task[_Site]) -> _Site | None:
    return None if task.cancelled() or task.exception() else task.result()


def _failure(path: str, refusal: RefusedError) -> RefusedError | None:
    """What it means that a file could not be read; None when it may be taken as absent."""
    if refusal.reason == "too_many_redirects":  # section 2.3.1.2
        return None
    if refusal.reason in OWN_FAILURES or refusal.reason.endswith("_address"):
        return RefusedError(refusal.reason, f"{path}: {refusal.detail}", transient=refusal.transient)
    return RefusedError("robots_unreachable", f"{path}: {refusal.reason}: {refusal.detail}", transient=True)


def _again(refusal: RefusedError) -> RefusedError:
    """A copy, since an exception that is raised twice gathers tracebacks."""
    return RefusedError(refusal.reason, refusal.detail, transient=refusal.transient)


def parse_tdmrep(body: bytes) -> Iterator[TdmRule]:
    """The rules of ``tdmrep.json``, in their order; none when it is malformed, and without those that are."""
    try:
        rows = json.loads(body)
    except (ValueError, RecursionError):
        return
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        location, value, policy = row.get("location"), row.get("tdm-reservation"), row.get("tdm-policy")
        if isinstance(location, str) and value in (0, 1, "0", "1"):
            pattern = parse_pattern(location.encode(errors="replace"))
            yield TdmRule(pattern, value in (1, "1"), policy if isinstance(policy, str) else None)


def directives(values: Iterable[str], agent: str) -> Iterator[str]:
    """The directives for ``agent`` or everyone in ``X-Robots-Tag`` headers, in lower case and without their values.

    ``otherbot: noai, noindex`` is for otherbot alone, up to the next agent or the end of that header. Colons also stand
    in ``max-snippet: 20`` and in the times of ``unavailable_after``: what precedes them is not an agent's name.
    """
    for value in values:
        ours = True
        for piece in value.lower().split(","):
            text = piece.strip()
            name, colon, rest = (part.strip() for part in text.partition(":"))
            while colon and name not in VALUED_DIRECTIVES and _AGENT.fullmatch(name):
                ours = product_token(name) in ("*", agent)
                text = rest
                name, colon, rest = (part.strip() for part in text.partition(":"))
            if ours:
                yield from (name,) if name in VALUED_DIRECTIVES else text.replace(";", " ").split()


def check_headers(headers: MultiMapping[str], config: RawScrape, *, reserved: TdmRule | None = None) -> None:
    """Whether an answer may be used, by its headers and by the rule of ``tdmrep.json`` that they override.

    Raises RefusedError: opt_out_noai, opt_out_content_usage, opt_out_content_signal, opt_out_tdm.
    """
    tags = headers.getall("X-Robots-Tag", [])
    if config.respect_x_robots_tag and not OPT_OUTS.isdisjoint(directives(tags, product_token(config.user_agent))):
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
