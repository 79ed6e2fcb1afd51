"""Download one URL: bounded in time, bytes and redirects, polite, and only from allowed addresses."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.http import retry_after_s
from humanvlm.scrape.addresses import (
    GuardedResolver,
    Policy,
    check_target,
    joined,
    parse_url,
)
from humanvlm.scrape.body import Hold, has_its_end, is_picture, read_body, unpacked
from humanvlm.scrape.consent import Consent, FetchedText, SitePolicy, check_headers, relevant_headers
from humanvlm.scrape.hosts import Hosts, Turn
from humanvlm.scrape.names import SharedResolver, SystemResolver
from humanvlm.scrape.proxies import proxies_of_environment
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.robots import MAX_BYTES
from humanvlm.scrape.visit import Allowance, Visit
from humanvlm.scrape.web import Web, ask, host_of, session

WHOLE_RANGE = re.compile(r"bytes 0-([0-9]{1,18})/([0-9]{1,18})")
REDIRECT_STATUSES = {300, 301, 302, 303, 307, 308}
TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
BACKOFF_S = 0.25


MAX_SITE_FILE_REDIRECTS = 5  # RFC 9309 section 2.3.1.2
DOUBTFUL_OF_HEAD = frozenset([400, 404, 405, 410, 501])
UNANSWERED = frozenset(["connect_timeout", "first_byte_timeout"])  # the host was asked, and took too long
NOT_ASKED = frozenset(["bad_url", "dns_error", "proxy_error"])  # nor the addresses that are refused
Answer = TypeVar("Answer")
Judge = Callable[[RawScrape, SitePolicy, URL, Visit, aiohttp.ClientResponse], Awaitable[Answer | URL]]


@dataclass(frozen=True)
class Fetched:
    """A whole answer. url: where it came from after redirects. time: seconds since the epoch. status: 200 to 299; None
    of what no server sent.

    headers: those that say what may be done with the picture (consent, licence).
    """

    url: str
    status: int | None
    data: bytes
    time: int
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """What a crawl asks with."""

    web: Web
    consent: Consent
    hosts: Hosts


@asynccontextmanager
async def open_client(
    config: RawScrape, policy: Policy, resolver: AbstractResolver | None = None
) -> AsyncIterator[Client]:
    """A client with keep-alive and cached names that connects to allowed addresses only.

    resolver: who looks names up, default the system's; its answers are filtered by ``policy`` like any other's. A proxy
    may have any address: it is what the user named. Raises UserError as ``proxies_of_environment`` does.
    """
    proxies = proxies_of_environment()
    guarded = GuardedResolver(policy, resolver, config.connect_timeout_s)
    of_proxies = SharedResolver(resolver or SystemResolver(), config.connect_timeout_s)
    async with session(config, guarded) as direct, session(config, of_proxies) as proxied:
        web = Web(direct, proxied, proxies, guarded, config, policy)
        hosts = Hosts(config)
        consent = Consent(config, partial(_get_text, web, hosts))
        try:
            yield Client(web, consent, hosts)
        finally:
            await consent.close()


async def fetch(client: Client, url: str, turn: Turn | None = None) -> Fetched:
    """Download ``url``, following redirects and retrying transient failures, which may take ``config.timeout_s`` beside
    waiting for hosts' turns.

    turn: the caller's, left to it when the picture is there. A host's Retry-After is kept for its other rows.
    Raises RefusedError: bad_url, url_too_long, blocked_port, private_address, loopback_address, link_local_address,
    metadata_address, dns_error, proxy_error, connect_error, connect_timeout, tls_error, first_byte_timeout, timeout,
    host_unresponsive, http_STATUS, redirect_loop, too_many_redirects, too_large, incomplete_body, bad_response, and
    those of ``consent``.
    """
    config = client.web.config
    if turn is None:
        turn = Turn(client.hosts)
        try:
            return await fetch(client, url, turn)
        finally:
            turn.leave()
    allowance = Allowance(config.timeout_s)
    picture = partial(_picture, partial(turn.hold, waiting=allowance.waiting))
    # An attempt that the limit cuts short says less than the one before it that failed.
    last = RefusedError("timeout", f"not complete within {config.timeout_s:g} s", transient=True)
    try:
        for attempt in count():
            try:
                return await _follow(client, url, picture, turn, allowance)
            except RefusedError as refusal:
                last = refusal.with_traceback(None)  # whose frames hold what was read
                wait = BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5)
                if refusal.retry_after_s is not None:
                    turn.pause(min(refusal.retry_after_s, config.max_retry_after_s))
                    wait = max(wait, refusal.retry_after_s)
                if not refusal.transient or attempt >= config.retries or wait >= allowance.left:
                    break
            turn.leave()
            async with allowance.spent():
                await asyncio.sleep(wait)
    except TimeoutError:
        pass
    try:
        raise last
    finally:
        del last  # which now refers to this frame


async def look(client: Client, url: str) -> None:
    """Ask whether ``url`` may still be used: its site's files, and the head of an answer, following redirects.

    Raises RefusedError as ``fetch`` does; nothing is tried twice. Where HEAD is not known, or the picture is said to be
    gone, which servers say that do not know HEAD, one byte is asked for.
    """
    config = client.web.config
    turn, allowance = Turn(client.hosts), Allowance(config.timeout_s)
    try:
        try:
            await _follow(client, url, _seen, turn, allowance, "HEAD")
        except RefusedError as refusal:
            if refusal.status not in DOUBTFUL_OF_HEAD:
                raise
            await _follow(client, url, _seen, turn, allowance, "GET", {"Range": "bytes=0-0"})
    except RefusedError as refusal:
        if refusal.retry_after_s is not None:
            turn.pause(min(refusal.retry_after_s, config.max_retry_after_s))
        raise
    except TimeoutError:
        raise RefusedError("timeout", f"not complete within {config.timeout_s:g} s", transient=True) from None
    finally:
        turn.leave()


async def _seen(
    config: RawScrape, site: SitePolicy, url: URL, visit: Visit, response: aiohttp.ClientResponse
) -> bool | URL:
    """Whether the head of an answer is one of a picture that may be used, or where that is said to be."""
    location = _location(response, url)
    if location is None and not 200 <= response.status < 300:
        raise _refusal(response)
    check_headers(response.headers, config, reserved=site.reserved)
    if location is not None:
        visit.keep_cookies(response)
    return location or True


async def _follow(
    client: Client,
    url: str,
    judge: Judge[Answer],
    turn: Turn,
    allowance: Allowance,
    method: str = "GET",
    headers: Mapping[str, str] = {},
) -> Answer:
    """What ``judge`` makes of the first answer that is no redirect."""
    web, config = client.web, client.web.config
    target = parse_url(url)
    visit = Visit(target)
    seen = {(target, "")}
    source = None
    for _ in range(config.max_redirects + 1):
        check_target(target, web.policy, source)
        if source and source.origin() != target.origin():
            turn.leave()  # nobody waits for others with a turn in hand
        with turn.waiting():
            site = await client.consent.check_url(target)
            await turn.take(host_of(target), max(config.host_interval_s, site.crawl_delay_s))
        read = partial(judge, config, site, target, visit)
        try:
            found = await ask(web, target, read, allowance, {**headers, **visit.headers(target)}, method)
        except TimeoutError:
            turn.timed_out()
            raise
        except RefusedError as refusal:
            if refusal.reason in UNANSWERED:
                turn.timed_out()
            elif refusal.reason not in NOT_ASKED and not refusal.reason.endswith("_address"):
                turn.answered()
            raise
        turn.answered()
        if not isinstance(found, URL):
            return found
        step = (found, visit.cookies(found))
        if step in seen:
            raise RefusedError("redirect_loop", f"back to {found}")
        seen.add(step)
        source, target = target, found
    raise RefusedError("too_many_redirects", f"more than {config.max_redirects}")


async def _picture(
    hold: Hold, config: RawScrape, site: SitePolicy, url: URL, visit: Visit, response: aiohttp.ClientResponse
) -> Fetched | URL:
    """What an answer holds: the picture, or where it is said to be. hold: waits until so much of it may be read."""
    location = _location(response, url)
    if location is None and not _may_hold_picture(response):
        raise _refusal(response)
    check_headers(response.headers, config, reserved=site.reserved)
    if location is None:
        return await _fetched(response, config.max_bytes, hold)
    visit.keep_cookies(response)
    return location


async def _get_text(web: Web, hosts: Hosts, url: URL) -> FetchedText:
    """A site's own file (robots.txt and the like): its first half megabyte, redirects followed, to other hosts a few at
    a time."""
    target, source, config = url, None, web.config
    allowance = Allowance(config.timeout_s)
    try:
        for _ in range(MAX_SITE_FILE_REDIRECTS + 1):
            check_target(target, web.policy, source)
            elsewhere = source and host_of(target) != host_of(url)
            async with hosts.limiter(host_of(target)).site_files if elsewhere else nullcontext():
                found = await ask(web, target, partial(_text, target), allowance)
            if isinstance(found, FetchedText):
                return found
            source, target = target, found
    except TimeoutError:
        raise RefusedError("timeout", f"{url.path} not complete within {config.timeout_s:g} s") from None
    raise RefusedError("too_many_redirects", f"{url.path}: more than {MAX_SITE_FILE_REDIRECTS}")


async def _text(url: URL, response: aiohttp.ClientResponse) -> FetchedText | URL:
    """The first half megabyte of an answer, or where it redirects to. Raises RefusedError: incomplete_body."""
    if location := _location(response, url):
        return location
    body, whole = await read_body(response, MAX_BYTES)
    if not whole and len(body) <= MAX_BYTES:
        raise _incomplete()
    return FetchedText(response.status, body[:MAX_BYTES], url, _encodings(response.headers))


def _location(response: aiohttp.ClientResponse, url: URL) -> URL | None:
    """Where an answer redirects to. Raises RefusedError (bad_url)."""
    location = response.headers.get("Location")
    if response.status not in REDIRECT_STATUSES or not location:
        return None
    return joined(url, location)


def _refusal(response: aiohttp.ClientResponse) -> RefusedError:
    status = response.status
    wait = retry_after_s(response.headers.get("Retry-After")) if status in (429, 503) else None
    reason = f"http_{status}"
    return RefusedError(
        reason, str(response.url), status=status, transient=status in TRANSIENT_STATUSES, retry_after_s=wait
    )


def _may_hold_picture(response: aiohttp.ClientResponse) -> bool:
    """Whether the status goes with a body that was asked for; a part of one, unless it says that there is more."""
    if response.status == 206 and (text := response.headers.get("Content-Range")):
        span = WHOLE_RANGE.fullmatch(text)
        return bool(span and int(span[1]) + 1 == int(span[2]))
    return 200 <= response.status < 300 and response.status not in (204, 205)


def _encodings(headers: Mapping[str, str]) -> str:
    """What the content was packed in, and then the message."""
    return ",".join(value for name in ("Content-Encoding", "Transfer-Encoding") if (value := headers.get(name)))


def _incomplete() -> RefusedError:
    return RefusedError("incomplete_body", "the answer ended early", transient=True)


async def _fetched(response: aiohttp.ClientResponse, most: int, hold: Hold) -> Fetched:
    announced, status, headers = response.content_length, response.status, response.headers
    if announced is not None and announced > most:
        raise RefusedError("too_large", f"{announced} bytes announced", status=status)
    data, whole = await read_body(response, most, hold)
    if len(data) <= most and (encodings := _encodings(headers)):
        await hold(len(data) + most)
        data = await asyncio.to_thread(unpacked, data, encodings, most)
        await hold(len(data))
    if len(data) > most:
        raise RefusedError("too_large", f"more than {most} bytes", status=status)
    if not whole and not has_its_end(data):
        raise _incomplete()
    if status != 200 and not is_picture(data):
        raise _refusal(response)
    return Fetched(
        str(response.url),
        status,
        data,
        int(time.time()),
        headers.get("Content-Type"),
        headers.get("ETag"),
        headers.get("Last-Modified"),
        relevant_headers(headers),
    )
