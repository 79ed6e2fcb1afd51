"""One request, to a site itself or through a proxy: whatever goes wrong with it has a reason."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.addresses import GuardedResolver, Policy, PrivateAddressError, looks_literal
from humanvlm.scrape.heads import MAX_FIELDS, MAX_LINE, Connector
from humanvlm.scrape.proxies import Proxies
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.visit import Allowance

KEEP_ALIVE_S = 30.0
Answer = TypeVar("Answer")


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


def session(config: RawScrape, resolver: AbstractResolver) -> aiohttp.ClientSession:
    connector = Connector(
        limit=0,  # the crawl bounds its requests, and waiting for a connection must not count as a slow answer
        keepalive_timeout=KEEP_ALIVE_S,
        resolver=resolver,
        ssl=config.verify_tls,  # aiohttp's own contexts, one a process
        use_dns_cache=False,  # the resolver remembers
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


async def _find(web: Web, url: URL, *, needed: bool) -> None:
    """Look a URL's name up, before the time of a request counts. needed: by this machine, not only by a proxy.

    Raises RefusedError: dns_error, bad_url, and those of private addresses.
    """
    host = host_of(url)
    if looks_literal(host):
        return
    try:
        await web.resolver.resolve(host, url.port or 0)
    except PrivateAddressError as error:
        raise RefusedError(error.reason, str(error)) from None
    except OSError:
        if needed:
            raise RefusedError("dns_error", f"host name {host} does not resolve", transient=True) from None
    except ValueError as error:
        raise RefusedError("bad_url", str(error)) from None


async def ask(
    web: Web,
    url: URL,
    read: Callable[[aiohttp.ClientResponse], Awaitable[Answer]],
    allowance: Allowance,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Answer:
    """What ``read`` makes of the answer to one request; whatever goes wrong with either is a RefusedError, or a
    TimeoutError when the allowance is spent. Looking the name up is not."""
    config = web.config
    proxy = web.proxies.of(url, web.policy)
    session = web.session if proxy is None else web.proxied
    await _find(web, url, needed=proxy is None)
    try:
        async with allowance.spent():
            try:
                async with asyncio.timeout(config.first_byte_timeout_s):
                    asking = session.request(method, _public(url), allow_redirects=False, proxy=proxy, headers=headers)
                    response = await asking
            except aiohttp.ConnectionTimeoutError:
                raise RefusedError("connect_timeout", host_of(url), transient=True) from None
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
        raise RefusedError("dns_error", f"host name {host_of(url)} does not resolve", transient=True) from None
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


def _public(url: URL) -> URL:
    return url.with_user(None) if "@" in url.raw_authority else url


def host_of(url: URL) -> str:
    return url.raw_host or ""


def _tls_cause(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(inner).__name__


def _cause(error: Exception) -> str:
    """What went wrong without the address or port, which differ from run to run on the loopback server."""
    inner = getattr(error, "os_error", error)
    return getattr(inner, "strerror", None) or type(inner).__name__
