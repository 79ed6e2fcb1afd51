import asyncio
import socket
from ipaddress import IPv4Address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.scrape.addresses import GuardedResolver, Policy, PrivateAddressError, check_literal, is_public, parse_url
from humanvlm.scrape.reasons import RefusedError

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::",
    "2001:db8::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_every_way_to_embed_an_ipv4_address_in_ipv6_is_seen_through(number: int) -> None:
    address = IPv4Address(number)
    group = f"{number >> 16:x}:{number & 0xFFFF:x}"
    for embedded in (f"::ffff:{address}", f"64:ff9b::{group}", f"2002:{group}::"):
        assert is_public(embedded) == is_public(str(address))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/x", "private_address"),
        ("http://[::1]/x", "private_address"),
        ("http://[::ffff:10.0.0.1]:8080/x", "private_address"),
        ("http://169.254.169.254/latest/meta-data", "private_address"),
        ("http://127\u30020\u30020\u30021/x", "private_address"),  # ideographic full stops
        ("http://2130706433/x", "bad_url"),
        ("http://127.1/x", "bad_url"),
        ("http://127.0.0.1./x", "bad_url"),
    ],
)
def test_literal_addresses_are_checked(url: str, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        check_literal(parse_url(url), Policy())
    assert refusal.value.reason == reason


def test_a_listed_host_may_be_private() -> None:
    check_literal(parse_url("http://127.0.0.1:8099/x"), Policy(private_hosts=("127.0.0.1",)))
    check_literal(parse_url("http://[::1]/x"), Policy(private_hosts=("::1",)))
    check_literal(parse_url("http://8.8.8.8/x"), Policy())


@pytest.mark.parametrize(
    "url",
    ["", "x", "/a.jpg", "ftp://a/b", "file:///etc/passwd", "data:image/png;base64,AA", "http://", "http://a:99999/"],
)
def test_only_absolute_http_addresses_are_urls(url: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        parse_url(url)
    assert refusal.value.reason == "bad_url"


class Answers(AbstractResolver):
    """A name server under somebody else's control."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


def resolve(policy: Policy, host: str, *answers: str) -> list[tuple[str, int]]:
    found = asyncio.run(GuardedResolver(policy, Answers(*answers)).resolve(host, 80))
    return [(answer["host"], answer["port"]) for answer in found]


def test_names_resolve_to_their_public_addresses_only() -> None:
    assert resolve(Policy(), "a.test", "10.0.0.1", "8.8.8.8") == [("8.8.8.8", 80)]
    with pytest.raises(PrivateAddressError, match=r"10\.0\.0\.1"):
        resolve(Policy(), "a.test", "10.0.0.1", "127.0.0.1")
    assert resolve(Policy(private_hosts=("A.test",)), "a.test.", "10.0.0.1") == [("10.0.0.1", 80)]


def test_local_hosts_resolve_to_the_local_server() -> None:
    policy = Policy(local_hosts=("photos.example",), port=4321)
    assert resolve(policy, "Photos.Example", "8.8.8.8") == [("127.0.0.1", 4321)]
    assert resolve(policy, "evil.photos.example", "8.8.8.8") == [("8.8.8.8", 80)]
