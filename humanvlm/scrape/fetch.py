"""Download one URL: bounded in time, bytes and redirects, polite, and only from allowed addresses."""

import asyncio
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
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
    PrivateAddressError,
    SystemResolver,
    check_target,
    joined,
    parse_url,
)
from humanvlm.scrape.body import has_its_end, is_picture, read_body, unpacked
from humanvlm.scrape.consent import Consent, FetchedText, SitePolicy, check_headers, relevant_headers
from humanvlm.scrape.heads import MAX_FIELDS, MAX_LINE, Connector
from humanvlm.scrape.proxies import Proxies, proxies_of_environment
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.robots import MAX_BYTES
from humanvlm.scrape.visit import Visit

WHOLE_RANGE = re.compile(r"bytes 0-([0-9]{1,18})/([0-9]{1,18})")
REDIRECT_STATUSES = {300, 301, 302, 303, 307, 308}
TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
BACKOFF_S = 0.25
KEEP_ALIVE_S = 30.0
DNS_TTL_S = 300
MAX_DNS_NAMES = 10_000
MAX_SITE_FILE_REDIRECTS = 5  # RFC 9309 section 2.3.1.2
DOUBTFUL_OF_HEAD = frozenset([400, 404, 405, 410, 501])
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
class Web:
    """Ways to ask: sites themselves, or through the proxies of the environment. One an event loop."""

    session: aiohttp.ClientSession
    proxied: aiohttp.ClientSession
    proxies: Proxies
    resolver: GuardedResolver
    config: RawScrape
    policy: Policy

    @property
    def mended(self) -> int:
        """Heads of answers that were read only when mended."""
        connectors = (self.session.connector, self.proxied.connector)
        return sum(connector.mended for connector in connectors if isinstance(connector, Connector))


@dataclass(frozen=True)
class Client:
    """What a crawl asks with."""

    web: Web
    consent: Consent


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
    async with _session(config, guarded) as session, _session(config, resolver or SystemResolver()) as proxied:
        web = Web(session, proxied, proxies, guarded, config, policy)
        consent = Consent(config, partial(_get_text, web))
        try:
            yield Client(web, consent)
        finally:
            await consent.close()


def _session(config: RawScrape, resolver: AbstractResolver) -> aiohttp.ClientSession:
    connector = Connector(
        limit=0,  # the crawl bounds its requests, and waiting for a connection must not count as a slow answer
        keepalive_timeout=KEEP_ALIVE_S,
        resolver=resolver,
        ssl=config.verify_tls,  # aiohttp's own contexts, one a process
        ttl_dns_cache=DNS_TTL_S,
        dns_cache_max_size=MAX_DNS_NAMES,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        max_headers=MAX_FIELDS,
        headers={"User-Agent": config.user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"},
    )


async def crawl_delay(client: Client, url: str) -> float:
    """Least seconds between two requests that the URL's site asks for. Raises RefusedError when it wants none, or when
    the URL is not to be asked."""
    target = parse_url(url)
    check_target(target, client.web.policy)
    return (await client.consent.check_url(target)).crawl_delay_s


def _ignore(seconds: float) -> None:
    pass


async def fetch(client: Client, url: str, pause: Callable[[float], None] = _ignore) -> Fetched:
    """Download ``url``, following redirects and retrying transient failures, all within ``config.timeout_s``.

    pause: told how many seconds the host asked to be left alone (Retry-After), for its other rows.
    Raises RefusedError: bad_url, url_too_long, blocked_port, private_address, loopback_address, link_local_address,
    metadata_address, dns_error, proxy_error, connect_error, connect_timeout, tls_error, first_byte_timeout, timeout,
    http_STATUS, redirect_loop, too_many_redirects, too_large, incomplete_body, bad_response, and those of ``consent``.
    """
    config = client.web.config
    deadline = asyncio.get_running_loop().time() + config.timeout_s
    # An attempt that the limit cuts short says less than the one before it that failed.
    last = RefusedError("timeout", f"not complete within {config.timeout_s:g} s", transient=True)
    try:
        async with asyncio.timeout_at(deadline):
            for attempt in count():
                try:
                    return await _follow(client, url, _picture)
                except RefusedError as refusal:
                    last = refusal.with_traceback(None)  # whose frames hold what was read
                    wait = BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5)
                    if refusal.retry_after_s is not None:
                        pause(min(refusal.retry_after_s, config.max_retry_after_s))
                        wait = max(wait, refusal.retry_after_s)
                    too_late = asyncio.get_running_loop().time() + wait >= deadline
                    if not refusal.transient or attempt >= config.retries or too_late:
                        break
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
    try:
        async with asyncio.timeout(config.timeout_s):
            try:
                await _follow(client, url, _seen, "HEAD")
            except RefusedError as refusal:
                if refusal.status not in DOUBTFUL_OF_HEAD:
                    raise
                await _follow(client, url, _seen, "GET", {"Range": "bytes=0-0"})
    except TimeoutError:
        raise RefusedError("timeout", f"not complete within {config.timeout_s:g} s", transient=True) from None


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
    client: Client, url: str, judge: Judge[Answer], method: str = "GET", headers: Mapping[str, str] = {}
) -> Answer:
    """What ``judge`` makes of the first answer that is no redirect."""
    web, config = client.web, client.web.config
    target = parse_url(url)
    visit = Visit(target)
    seen = {(target, "")}
    source = None
    for _ in range(config.max_redirects + 1):
        check_target(target, web.policy, source)
        site = await client.consent.check_url(target)
        read = partial(judge, config, site, target, visit)
        found = await _ask(web, target, read, {**headers, **visit.headers(target)}, method)
        if not isinstance(found, URL):
            return found
        step = (found, visit.cookies(found))
        if step in seen:
            raise RefusedError("redirect_loop", f"back to {found}")
        seen.add(step)
        source, target = target, found
    raise RefusedError("too_many_redirects", f"more than {config.max_redirects}")


async def _picture(
    config: RawScrape, site: SitePolicy, url: URL, visit: Visit, response: aiohttp.ClientResponse
) -> Fetched | URL:
    """What an answer holds: the picture, or where it is said to be."""
    location = _location(response, url)
    if location is None and not _may_hold_picture(response):
        raise _refusal(response)
    check_headers(response.headers, config, reserved=site.reserved)
    if location is None:
        return await _fetched(response, config.max_bytes)
    visit.keep_cookies(response)
    return location


async def _get_text(web: Web, url: URL) -> FetchedText:
    """A site's own file (robots.txt and the like): its first half megabyte, redirects followed."""
    target, source, config = url, None, web.config
    try:
        async with asyncio.timeout(config.timeout_s):
            for _ in range(MAX_SITE_FILE_REDIRECTS + 1):
                check_target(target, web.policy, source)
                found = await _ask(web, target, partial(_text, target))
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


async def _ask(
    web: Web,
    url: URL,
    read: Callable[[aiohttp.ClientResponse], Awaitable[Answer]],
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Answer:
    """What ``read`` makes of the answer to one request; whatever goes wrong with either is a RefusedError."""
    config = web.config
    proxy = web.proxies.of(url, web.policy)
    session = web.session if proxy is None else web.proxied
    try:
        try:
            async with asyncio.timeout(config.first_byte_timeout_s):
                if proxy:
                    await web.resolver.check(_host_of(url), url.port or 0)
                response = await session.request(
                    method, _public(url), allow_redirects=False, proxy=proxy, headers=headers
                )
        except aiohttp.ConnectionTimeoutError:
            raise RefusedError("connect_timeout", _host_of(url), transient=True) from None
        except TimeoutError:
            detail = f"no answer within {config.first_byte_timeout_s:g} s"
            raise RefusedError("first_byte_timeout", detail, transient=True) from None
        async with response:
            return await read(response)
    except PrivateAddressError as error:
        raise RefusedError(error.reason, str(error)) from None
    except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
        raise RefusedError("proxy_error", _cause(error), transient=True) from None
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, PrivateAddressError):
            raise RefusedError(error.os_error.reason, str(error.os_error)) from None
        if proxy:
            raise RefusedError("proxy_error", "its host name does not resolve", transient=True) from None
        raise RefusedError("dns_error", f"host name {_host_of(url)} does not resolve", transient=True) from None
    except aiohttp.ClientResponseError as error:
        raise RefusedError("bad_response", error.message) from None
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise RefusedError("tls_error", _tls_cause(error)) from None
    except (aiohttp.ClientConnectionError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise RefusedError("connect_error", _cause(error), transient=True) from None
    except ValueError as error:  # includes InvalidURL and host names that IDNA cannot encode
        raise RefusedError("bad_url", str(error)) from None


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


async def _fetched(response: aiohttp.ClientResponse, most: int) -> Fetched:
    announced, status, headers = response.content_length, response.status, response.headers
    if announced is not None and announced > most:
        raise RefusedError("too_large", f"{announced} bytes announced", status=status)
    data, whole = await read_body(response, most)
    if len(data) <= most and (encodings := _encodings(headers)):
        data = unpacked(data, encodings, most)
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


def _public(url: URL) -> URL:
    return url.with_user(None) if "@" in url.raw_authority else url


def _host_of(url: URL) -> str:
    return url.raw_host or ""


def _tls_cause(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(inner).__name__


def _cause(error: Exception) -> str:
    """What went wrong without the address or port, which differ from run to run on the loopback server."""
    inner = getattr(error, "os_error", error)
    return getattr(inner, "strerror", None) or type(inner).__name__
