import asyncio
import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.scrape.addresses import (  # fmt: skip
    GuardedResolver,
    Policy,
    PrivateAddressError,
    SystemResolver,
    check_literal,
    is_public,
    parse_url,
)
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
        ("http://127.0.0.1/x", "loopback_address"),
        ("http://[::1]/x", "loopback_address"),
        ("http://0.0.0.0/x", "loopback_address"),  # which Linux connects to itself
        ("http://[::]/x", "loopback_address"),
        ("http://[::ffff:127.0.0.1]/x", "loopback_address"),
        ("http://127\u30020\u30020\u30021/x", "loopback_address"),  # ideographic full stops
        ("http://10.0.0.1/x", "private_address"),
        ("http://[::ffff:10.0.0.1]:8080/x", "private_address"),
        ("http://[fc00::1]/x", "private_address"),
        ("http://169.254.1.1/x", "link_local_address"),
        ("http://[fe80::1]/x", "link_local_address"),
        ("http://[fe80::1%25eth0]/x", "link_local_address"),
        ("http://169.254.169.254/latest/meta-data", "metadata_address"),
        ("http://[::ffff:a9fe:a9fe]/latest/meta-data", "metadata_address"),
        ("http://[64:ff9b::a9fe:a9fe]/latest/meta-data", "metadata_address"),
        ("http://[fd00:ec2::254]/latest/meta-data", "metadata_address"),
        ("http://[fd00:0ec2:0::0254]/latest/meta-data", "metadata_address"),
        ("http://[fd00:ec2::254%25eth0]/latest/meta-data", "metadata_address"),
        ("http://2130706433/x", "bad_url"),
        ("http://127.1/x", "bad_url"),
        ("http://127.0.0.1./x", "bad_url"),
    ],
)
def test_literal_addresses_are_checked(url: str, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        check_literal(parse_url(url), Policy())
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1", "loopback_address"), ("169.254.1.1", "link_local_address"), ("10.0.0.1", "private_address"),
     ("169.254.169.254", "metadata_address"), ("::ffff:127.0.0.1", "loopback_address"),
     ("fe80::1%2", "link_local_address")],
)  # fmt: skip
def test_names_are_refused_for_the_same_reasons(address: str, reason: str) -> None:
    with pytest.raises(PrivateAddressError) as refusal:
        resolve(Policy(), "a.test", address)
    assert refusal.value.reason == reason


@given(st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1), st.sampled_from(["http", "https"]))
def test_every_address_is_public_or_refused_as_an_address(number: int, scheme: str) -> None:
    address = ip_address(number)
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        check_literal(parse_url(f"{scheme}://{host}/x"), Policy())
        refused = None
    except RefusedError as refusal:
        refused = refusal.reason
    assert (refused is None) == is_public(str(address))
    assert refused is None or refused.endswith("_address")


@given(st.text(st.characters(), max_size=40))
def test_any_text_is_a_url_or_none(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a.test/{text}"):
        with contextlib.suppress(RefusedError):
            check_literal(parse_url(url), Policy())


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


class Silent(Answers):
    async def resolve(self, *arguments: object) -> list[ResolveResult]:
        await asyncio.sleep(3600)
        return []


def test_a_name_server_that_does_not_answer_is_not_waited_for() -> None:
    with pytest.raises(OSError, match=r"a\.test was not looked up within 0\.01 s"):
        asyncio.run(GuardedResolver(Policy(), Silent(), timeout_s=0.01).resolve("a.test"))


def test_a_name_whose_servers_are_slow_does_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, *arguments: object, **named: object) -> list[Any]:
        time.sleep(0.3)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def all_of_them() -> float:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(8))
        resolver, start = SystemResolver(), time.monotonic()
        found = await asyncio.gather(*(resolver.resolve(f"{number}.test", 80) for number in range(8)))
        assert {(answer["hostname"], answer["host"], answer["port"]) for answers in found for answer in answers} == {
            (f"{number}.test", "8.8.8.8", 80) for number in range(8)
        }
        return time.monotonic() - start

    for runner in (asyncio.run, uvloop.run):
        assert runner(all_of_them()) < 1.2


def test_the_system_knows_literal_addresses() -> None:
    for host, family in (("127.0.0.1", socket.AF_INET), ("127.1", socket.AF_INET)):
        (found,) = asyncio.run(SystemResolver().resolve(host, 80))
        assert (found["host"], found["port"], found["family"]) == ("127.0.0.1", 80, family)
    with pytest.raises(ValueError, match="too long"):
        asyncio.run(SystemResolver().resolve("a" * 70 + ".test"))


def resolve(policy: Policy, host: str, *answers: str) -> list[tuple[str, int]]:
    found = asyncio.run(GuardedResolver(policy, Answers(*answers)).resolve(host, 80))
    return [(answer["host"], answer["port"]) for answer in found]


def test_names_resolve_to_their_public_addresses_only() -> None:
    assert resolve(Policy(), "a.test", "10.0.0.1", "8.8.8.8") == [("8.8.8.8", 80)]
    with pytest.raises(PrivateAddressError, match=r"10\.0\.0\.1"):
        resolve(Policy(), "a.test", "10.0.0.1", "127.0.0.1")
    assert resolve(Policy(), "a.test") == []
    assert resolve(Policy(private_hosts=("A.test",)), "a.test.", "10.0.0.1") == [("10.0.0.1", 80)]


def test_local_hosts_resolve_to_the_local_server() -> None:
    policy = Policy(local_hosts=("photos.example",), port=4321)
    assert resolve(policy, "Photos.Example", "8.8.8.8") == [("127.0.0.1", 4321)]
    assert resolve(policy, "evil.photos.example", "8.8.8.8") == [("8.8.8.8", 80)]
