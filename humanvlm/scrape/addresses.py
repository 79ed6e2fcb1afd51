"""Which addresses a crawl may contact: public ones only, checked on what is connected to, not on what was asked for.

URLs come from the web, and so do redirects and DNS answers. All of them may point into the machine's own network
(server-side request forgery). The resolver therefore filters every answer, and literal addresses, which never reach a
resolver, are checked before each request.
"""

import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from humanvlm.scrape.reasons import RefusedError

GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A host name all of whose addresses are private; an OSError, which is what aiohttp expects of a resolver."""


@dataclass(frozen=True)
class Policy:
    """private_hosts: names or literal addresses that may be private. local_hosts: names that are served by this run's
    own server on ``127.0.0.1:port``."""

    private_hosts: Collection[str] = ()
    local_hosts: Collection[str] = ()
    port: int = 0

    def is_local(self, host: str) -> bool:
        return _plain(host) in {_plain(name) for name in self.local_hosts}

    def may_be_private(self, host: str) -> bool:
        return _plain(host) in {_plain(name) for name in self.private_hosts}


def parse_url(text: str) -> URL:
    """An absolute http(s) URL. Raises RefusedError (bad_url)."""
    try:
        url = URL(text.strip())
        usable = url.scheme in ("http", "https") and bool(url.raw_host) and url.port is not None
    except (ValueError, TypeError) as error:
        raise RefusedError("bad_url", str(error)) from None
    if not usable:
        raise RefusedError("bad_url", f"not an absolute http(s) address: {text[:120]!r}")
    return url


def check_literal(url: URL, policy: Policy) -> None:
    """Raises RefusedError when the URL's host is a literal address that is not public.

    aiohttp connects straight to hosts made of digits and dots, and the system reads ``2130706433`` or ``127.1`` as
    127.0.0.1: anything that looks like an address must be a well-formed one.
    """
    host = url.raw_host or ""
    looks_literal = ":" in host or host.replace(".", "").isdigit()
    if not looks_literal or policy.may_be_private(host):
        return
    try:
        public = is_public(host)
    except ValueError:
        raise RefusedError("bad_url", f"malformed address {host}") from None
    if not public:
        raise RefusedError("private_address", host)


def is_public(address: str) -> bool:
    """Whether a literal IP address is reachable on the open internet, embedded IPv4 addresses looked through.

    Raises ValueError when ``address`` is not a literal address.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    embedded = ip.ipv4_mapped or ip.sixtofour or (_low_32_bits(ip) if ip in NAT64 else None)
    if embedded is not None:
        return is_public(str(embedded))
    return ip in GLOBAL_UNICAST and ip.is_global


def _low_32_bits(ip: IPv6Address) -> IPv4Address:
    return IPv4Address(int(ip) & 0xFFFFFFFF)


def _plain(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")


class GuardedResolver(AbstractResolver):
    """Resolves local hosts to this run's own server, and other hosts to their public addresses only."""

    def __init__(self, policy: Policy, resolver: AbstractResolver | None = None) -> None:
        self.policy = policy
        self.resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses to connect to. Raises PrivateAddressError when all are private, OSError when there are none."""
        if self.policy.is_local(host):
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [
                ResolveResult(
                    hostname=host, host="127.0.0.1", port=self.policy.port, family=socket.AF_INET, proto=0, flags=flags
                )
            ]
        found = await self.resolver.resolve(host, port, family)
        if self.policy.may_be_private(host):
            return found
        public = [answer for answer in found if is_public(answer["host"])]
        if found and not public:
            raise PrivateAddressError(f"{host} is {found[0]['host']}")
        return public

    async def close(self) -> None:
        await self.resolver.close()
