"""Which addresses a crawl may contact: public ones only, checked on what is connected to, not on what was asked for.

URLs come from the web, and so do redirects and DNS answers. All of them may point into the machine's own network
(server-side request forgery). The resolver therefore filters every answer, and literal addresses, which never reach a
resolver, are checked before each request.
"""

import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import urljoin

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from humanvlm.scrape.names import SharedResolver, SystemResolver
from humanvlm.scrape.ranges import is_metadata, is_public, refusal_of
from humanvlm.scrape.reasons import RefusedError, without_credentials

MAX_URL = 8192  # octets as asked for; what servers and proxies take at most
# Other protocols' ports, to which an HTTP request may mean something (https://fetch.spec.whatwg.org/#port-blocking).
BLOCKED_PORTS = frozenset(
    [0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
     110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
     532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
     5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080]
)  # fmt: skip

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

    private_hosts: ``HOST:PORT``, names or literal addresses that may be private. local_hosts: names that are served by
    this run's own server on ``127.0.0.1:port``."""

    private_hosts: Collection[str] = ()
    local_hosts: Collection[str] = ()
    port: int = 0

    def is_local(self, host: str) -> bool:
        return _plain(host) in self._local

    def may_be_private(self, host: str, port: int | None) -> bool:
        return (_plain(host), port) in self._private

    def is_inside(self, url: URL) -> bool:
        """Whether a URL is of a host that the user named, by the run's own server or at a private address."""
        host = url.raw_host or ""
        return self.is_local(host) or self.may_be_private(host, url.port)

    @cached_property
    def _local(self) -> frozenset[str]:
        return frozenset(map(_plain, self.local_hosts))

    @cached_property
    def _private(self) -> frozenset[tuple[str, int]]:
        return frozenset((_plain(host), int(port)) for host, _, port in (e.rpartition(":") for e in self.private_hosts))


@lru_cache(maxsize=4096)  # a row's URL is looked at in several places
def parse_url(text: str) -> URL:
    """An absolute http(s) URL, asked for as it is spelled. Raises RefusedError (bad_url, url_too_long).

    Percent-encoding is left alone, since signatures cover it and servers tell ``%2C`` from a comma. What every client
    does is done: octets that are illegal are quoted, ``.`` and ``..`` are resolved, the host is in its ASCII form, and
    there is no fragment.
    """
    if len(text) > MAX_URL:
        raise RefusedError("url_too_long", f"{len(text)} characters")
    text = _LINE_BREAKS.sub("", text.strip())
    found = _HTTP.fullmatch(text)
    try:
        if found:
            place = URL(f"{found['scheme'].lower()}://{found['authority']}")
            if place.raw_host and place.port is not None:
                path = _without_dots(_quoted(found["path"])) or "/"
                asked = f"{place.scheme}://{place.raw_authority}{path}{_quoted(found['query'])}"
                if len(asked) > MAX_URL:
                    raise RefusedError("url_too_long", f"{len(asked)} octets")
                return URL(asked, encoded=True)
    except (ValueError, TypeError) as error:
        raise RefusedError("bad_url", str(error)) from None
    raise RefusedError("bad_url", f"not an absolute http(s) address: {without_credentials(text)[:120]!r}")


def joined(base: URL, location: str) -> URL:
    """Where a ``Location`` leads from ``base``. Raises RefusedError (bad_url, url_too_long).

    Octets that are not UTF-8 are half surrogates in ``location`` (PEP 383), and asked for as those octets.
    """
    if len(location) > MAX_URL:
        raise RefusedError("url_too_long", f"Location: {len(location)} octets")
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


def looks_literal(host: str) -> bool:
    """Whether a host is an address, or is taken for one."""
    return ":" in host or host.replace(".", "").isdigit()


def check_target(url: URL, policy: Policy, source: URL | None = None) -> None:
    """Raises RefusedError when a URL is not to be asked for, by what it says itself: blocked_port, bad_url, and those
    of literal addresses that are not public.

    source: the URL that redirects to it. Only the index names hosts inside; a site that leads to one is refused, as
    private_address where it has a name.
    aiohttp connects straight to hosts made of digits and dots, and the system reads ``2130706433`` or ``127.1`` as
    127.0.0.1: anything that looks like an address must be a well-formed one.
    """
    host = url.raw_host or ""
    inside = policy.is_inside(url)
    led = inside and source is not None and not policy.is_inside(source)
    try:
        if looks_literal(host) and (is_metadata(host) or ((led or not inside) and not is_public(host))):
            raise RefusedError(refusal_of(host), host)
    except ValueError:
        raise RefusedError("bad_url", f"malformed address {host}") from None
    if led:
        raise RefusedError("private_address", f"{host} may be asked for by the index, not by a redirect")
    if url.port in BLOCKED_PORTS and not inside:
        raise RefusedError("blocked_port", f"{host}:{url.port}")


def _plain(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")


def _may_be_asked(address: str, private: bool) -> bool:
    return not is_metadata(address) if private else is_public(address)


class GuardedResolver(AbstractResolver):
    """Resolves local hosts to this run's own server, and other hosts to their public addresses only."""

    def __init__(self, policy: Policy, resolver: AbstractResolver | None = None, timeout_s: float = 5.0) -> None:
        """timeout_s: of one look-up."""
        self.policy = policy
        self.resolver = SharedResolver(resolver or SystemResolver(), timeout_s)

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
        private = self.policy.may_be_private(host, port)
        allowed = [answer for answer in found if _may_be_asked(answer["host"], private)]
        if found and not allowed:
            raise PrivateAddressError(host, found[0]["host"])
        return allowed

    async def close(self) -> None:
        await self.resolver.close()
