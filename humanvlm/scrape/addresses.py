"""Which addresses a crawl may contact: public ones only, checked on what is connected to, not on what was asked for.

URLs come from the web, and so do redirects and DNS answers. All of them may point into the machine's own network
(server-side request forgery). The resolver therefore filters every answer, and literal addresses, which never reach a
resolver, are checked before each request.
"""

import asyncio
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from humanvlm.scrape.reasons import RefusedError

GLOBAL_UNICAST = IPv6Network("2000::/3")
# Where clouds answer a machine's questions about itself, credentials included.
METADATA = frozenset(["169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"])
MAX_CHECKED = 10_000  # names
NAT64 = IPv6Network("64:ff9b::/96")

_HTTP = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>[^?#]*)(?P<query>\??[^#]*)(?:#.*)?", re.IGNORECASE
)
_ILLEGAL = re.compile(rb"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2})")
_LINE_BREAKS = re.compile(r"[\t\r\n]")  # browsers leave them out
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class PrivateAddressError(OSError):
    """A host name all of whose addresses are private; an OSError, which is what aiohttp expects of a resolver."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} is {address}")
        self.reason = refusal_of(address)


@dataclass(frozen=True)
class Policy:
    """Hosts beyond the open web that this crawl may ask.

    private_hosts: names or literal addresses that may be private. local_hosts: names that are served by this run's
    own server on ``127.0.0.1:port``."""

    private_hosts: Collection[str] = ()
    local_hosts: Collection[str] = ()
    port: int = 0

    def is_local(self, host: str) -> bool:
        return _plain(host) in self._local

    def may_be_private(self, host: str) -> bool:
        return _plain(host) in self._private

    @cached_property
    def _local(self) -> frozenset[str]:
        return frozenset(map(_plain, self.local_hosts))

    @cached_property
    def _private(self) -> frozenset[str]:
        return frozenset(map(_plain, self.private_hosts))


@lru_cache(maxsize=4096)  # a row's URL is looked at in several places
def parse_url(text: str) -> URL:
    """An absolute http(s) URL, asked for as it is spelled. Raises RefusedError (bad_url).

    Percent-encoding is left alone, since signatures cover it and servers tell ``%2C`` from a comma. What every client
    does is done: octets that are illegal are quoted, ``.`` and ``..`` are resolved, the host is in its ASCII form, and
    there is no fragment.
    """
    found = _HTTP.fullmatch(_LINE_BREAKS.sub("", text.strip()))
    try:
        if found:
            place = URL(f"{found['scheme'].lower()}://{found['authority']}")
            if place.raw_host and place.port is not None:
                path = _without_dots(_quoted(found["path"])) or "/"
                return URL(f"{place.scheme}://{place.raw_authority}{path}{_quoted(found['query'])}", encoded=True)
    except (ValueError, TypeError) as error:
        raise RefusedError("bad_url", str(error)) from None
    raise RefusedError("bad_url", f"not an absolute http(s) address: {text[:120]!r}")


def joined(base: URL, location: str) -> URL:
    """Where a ``Location`` leads from ``base``. Raises RefusedError (bad_url).

    Octets that are not UTF-8 are half surrogates in ``location`` (PEP 383), and asked for as those octets.
    """
    try:
        return parse_url(urljoin(str(base), location.strip()))
    except ValueError as error:
        raise RefusedError("bad_url", str(error)) from None


def _quoted(text: str) -> str:
    """Path or query with the octets that RFC 3986 allows in none percent-encoded, and what is legal untouched."""
    octets = text.encode("utf-8", "surrogateescape")
    return _ILLEGAL.sub(lambda found: b"%%%02X" % found[0][0], octets).decode("ascii")


def _without_dots(path: str) -> str:
    """The path with its dot segments resolved (RFC 3986, section 5.2.4), percent-encoded dots too, as in browsers."""
    if not _DOTS.search(path):
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(segment)
    if dots in (".", ".."):  # the last segment
        kept.append("")
    return "/" + "/".join(kept)


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
        raise RefusedError(refusal_of(host), host)


def refusal_of(address: str) -> str:
    """Under which reason a literal address that is not public is counted. Raises ValueError when it is no address."""
    ip = _embedded(ip_address(address))
    if str(ip).partition("%")[0] in METADATA:  # without the zone of an IPv6 address
        return "metadata_address"
    if ip.is_loopback or ip.is_unspecified:
        return "loopback_address"
    return "link_local_address" if ip.is_link_local else "private_address"


def is_public(address: str) -> bool:
    """Whether a literal IP address is reachable on the open internet, embedded IPv4 addresses looked through.

    Raises ValueError when ``address`` is not a literal address.
    """
    ip = _embedded(ip_address(address))
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    return ip in GLOBAL_UNICAST and ip.is_global


def _embedded(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one leads to (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    return ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip)


def _plain(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")


class SystemResolver(AbstractResolver):
    """Looks names up as the system does, in the threads of the loop's default executor.

    The loop's own ``getaddrinfo`` is not used: uvloop's has two at a time (half of libuv's threads), and a few names
    whose servers do not answer would hold up all others.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises OSError when there are none."""
        look_up = partial(socket.getaddrinfo, host, port, family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(None, look_up)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=flags)
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        pass


class GuardedResolver(AbstractResolver):
    """Resolves local hosts to this run's own server, and other hosts to their public addresses only."""

    def __init__(self, policy: Policy, resolver: AbstractResolver | None = None, timeout_s: float = 5.0) -> None:
        self.policy = policy
        self.resolver = resolver or SystemResolver()
        self.timeout_s = timeout_s
        self._checked: dict[str, PrivateAddressError | None] = {}

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
        try:
            async with asyncio.timeout(self.timeout_s):
                found = await self.resolver.resolve(host, port, family)
        except TimeoutError:
            raise OSError(f"{host} was not looked up within {self.timeout_s:g} s") from None
        if self.policy.may_be_private(host):
            return found
        public = [answer for answer in found if is_public(answer["host"])]
        if found and not public:
            raise PrivateAddressError(host, found[0]["host"])
        return public

    async def check(self, host: str) -> None:
        """Whether a proxy may be asked about a host; a name that only the proxy can look up passes.

        Raises PrivateAddressError.
        """
        if len(self._checked) >= MAX_CHECKED:
            self._checked.clear()
        if host not in self._checked:
            self._checked[host] = await self._private(host)
        if found := self._checked[host]:
            raise found

    async def _private(self, host: str) -> PrivateAddressError | None:
        try:
            await self.resolve(host)
        except PrivateAddressError as error:
            return error
        except OSError:
            pass
        return None

    async def close(self) -> None:
        await self.resolver.close()
