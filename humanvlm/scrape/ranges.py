"""Which IP addresses are on the open internet: IANA's registries of special-purpose addresses, and what clouds add.

A table of its own, since that of Python's ``ipaddress`` changes with its release, and knows nothing of the agents that
clouds put at addresses which look public.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast
SPECIAL_IPV4 = tuple(
    map(
        IPv4Network,
        ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
         "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
         "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
    )
)  # fmt: skip
# Whatever is not global unicast is special, and of that, https://www.iana.org/assignments/iana-ipv6-special-registry:
# protocol assignments (Teredo, ORCHID, benchmarking), documentation, AS112.
GLOBAL_IPV6 = IPv6Network("2000::/3")
SPECIAL_IPV6 = tuple(map(IPv6Network, ["2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20"]))
NAT64 = tuple(map(IPv6Network, ["64:ff9b::/96", "64:ff9b:1::/48"]))
COMPATIBLE = IPv6Network("::/96")
# Where clouds answer a machine's questions about itself, credentials included.
METADATA = frozenset(
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23", "169.254.42.42", "100.100.100.200",
     "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42"]
)  # fmt: skip


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether a literal IP address is reachable on the open internet, embedded IPv4 addresses looked through.

    Raises ValueError when ``address`` is not a literal address.
    """
    ip = _embedded(ip_address(address))
    if _is_metadata(ip):
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in SPECIAL_IPV4)
    return ip in GLOBAL_IPV6 and not any(ip in network for network in SPECIAL_IPV6)


def is_metadata(address: str) -> bool:
    """Whether a literal IP address is a cloud's own. Raises ValueError when it is no address."""
    return _is_metadata(_embedded(ip_address(address)))


def refusal_of(address: str) -> str:
    """Under which reason a literal address that is not public is counted. Raises ValueError when it is no address."""
    ip = _embedded(ip_address(address))
    if _is_metadata(ip):
        return "metadata_address"
    if ip.is_loopback or ip.is_unspecified:
        return "loopback_address"
    return "link_local_address" if ip.is_link_local else "private_address"


def _is_metadata(ip: IPv4Address | IPv6Address) -> bool:
    return str(ip).partition("%")[0] in METADATA  # without the zone of an IPv6 address


def _embedded(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one leads to (mapped, compatible, 6to4, NAT64), else the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if found := ip.ipv4_mapped or ip.sixtofour:
        return found
    low = int(ip) & 0xFFFFFFFF
    return IPv4Address(low) if any(ip in net for net in NAT64) or (ip in COMPATIBLE and low > 1) else ip
