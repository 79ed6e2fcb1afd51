"""Download one URL: bounded in time, bytes and redirects, polite, and only from public addresses."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count

import aiohttp
from yarl import URL

from humanvlm.config import RawScrape
from humanvlm.scrape.addresses import GuardedResolver, Policy, PrivateAddressError, check_literal, parse_url
from humanvlm.scrape.reasons import RefusedError

REDIRECTS = {301, 302, 303, 307, 308}
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
OPT_OUTS = {"noai", "noimageai"}
BACKOFF_S = 0.25
CHUNK = 1 << 16


@dataclass(frozen=True)
class Fetched:
    """A whole answer with status 200. url: where it came from after redirects."""

    url: str
    status: int
    data: bytes
    content_type: str | None
    etag: str | None
    last_modified: str | None


@cache
def _ssl_context() -> ssl.SSLContext:
    return ssl.create_default_context()  # loads all root certificates: 19 ms, so once a process


@asynccontextmanager
async def open_session(config: RawScrape, policy: Policy) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with keep-alive that connects to allowed addresses only."""
    connector = aiohttp.TCPConnector(
        limit=config.concurrency,
        limit_per_host=config.per_host,
        resolver=GuardedResolver(policy),
        ssl=_ssl_context(),
        ttl_dns_cache=300,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": config.user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"},
    ) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, url: str, config: RawScrape, policy: Policy) -> Fetched:
    """Download ``url``, following redirects and retrying transient failures, all within ``config.timeout_s``.

    Raises RefusedError: bad_url, private_address, connect_error, timeout, http_STATUS, too_many_redirects, too_large,
    incomplete_body, bad_response, opt_out_noai.
    """
    try:
        async with asyncio.timeout(config.timeout_s):
            for attempt in count():
                try:
                    return await _follow(session, url, config, policy)
                except RefusedError as refusal:
                    if not refusal.transient or attempt >= config.retries:
                        raise
                await asyncio.sleep(BACKOFF_S * 2**attempt)
    except TimeoutError:
        pass
    raise RefusedError("timeout", f"not complete within {config.timeout_s:g} s")


async def _follow(session: aiohttp.ClientSession, url: str, config: RawScrape, policy: Policy) -> Fetched:
    target = parse_url(url)
    for _ in range(config.max_redirects + 1):
        check_literal(target, policy)
        answer = await _request(session, target, config)
        if isinstance(answer, Fetched):
            return answer
        target = answer
    raise RefusedError("too_many_redirects", f"more than {config.max_redirects}")


async def _request(session: aiohttp.ClientSession, url: URL, config: RawScrape) -> Fetched | URL:
    """One request: the whole answer, or where it redirects to."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            if config.respect_noai and _opts_out(response):
                raise RefusedError("opt_out_noai", ", ".join(_robots(response)), status=response.status)
            location = response.headers.get("Location")
            if response.status in REDIRECTS and location:
                return parse_url(str(url.join(URL(location))))
            if response.status != 200:
                transient = response.status in TRANSIENT
                raise RefusedError(f"http_{response.status}", str(url), status=response.status, transient=transient)
            return await _read(response, config.max_bytes)
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, PrivateAddressError):
            raise RefusedError("private_address", str(error.os_error)) from None
        raise RefusedError("connect_error", f"host name {url.raw_host} does not resolve", transient=True) from None
    except aiohttp.ClientPayloadError:
        raise RefusedError("incomplete_body", "the connection ended early", transient=True) from None
    except aiohttp.ClientResponseError as error:
        raise RefusedError("bad_response", error.message) from None
    except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch) as error:
        raise RefusedError("connect_error", f"TLS: {type(error).__name__}") from None
    except (aiohttp.ClientConnectionError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise RefusedError("connect_error", _cause(error), transient=True) from None
    except ValueError as error:  # includes InvalidURL and host names that IDNA cannot encode
        raise RefusedError("bad_url", str(error)) from None


def _cause(error: Exception) -> str:
    """What went wrong without the address or port, which differ from run to run on the loopback server."""
    inner = getattr(error, "os_error", error)
    return getattr(inner, "strerror", None) or type(inner).__name__


def _robots(response: aiohttp.ClientResponse) -> list[str]:
    return response.headers.getall("X-Robots-Tag", [])


def _opts_out(response: aiohttp.ClientResponse) -> bool:
    """Whether any directive, for whichever robot, is noai or noimageai."""
    directives = " ".join(_robots(response)).lower()
    return not OPT_OUTS.isdisjoint(directives.replace(",", " ").replace(":", " ").replace(";", " ").split())


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> Fetched:
    announced = response.content_length
    if announced is not None and announced > max_bytes:
        raise RefusedError("too_large", f"{announced} bytes announced", status=response.status)
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise RefusedError("too_large", f"more than {max_bytes} bytes", status=response.status)
    headers = response.headers
    return Fetched(
        str(response.url),
        response.status,
        bytes(body),
        headers.get("Content-Type"),
        headers.get("ETag"),
        headers.get("Last-Modified"),
    )
