import asyncio
import contextlib
import socket
from ipaddress import ip_address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from humanvlm.scrape.addresses import (  # fmt: skip
    GuardedResolver,
    Policy,
    PrivateAddressError,
    check_target,
    joined,
    parse_url,
)
from humanvlm.scrape.ranges import is_public
from humanvlm.scrape.reasons import RefusedError


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
        ("http://168.63.129.16/machine", "metadata_address"),
        ("http://192.0.0.192/opc/v2/instance", "metadata_address"),
        ("http://[64:ff9b::a83f:8110]/machine", "metadata_address"),
        ("http://[2002:a9fe:a9fe::1]/latest", "metadata_address"),
        ("http://8.8.8.8:22/x", "blocked_port"),
        ("https://a.test:6667/x", "blocked_port"),
        ("http://a.test:25/x", "blocked_port"),
        ("http://a.test:0/x", "blocked_port"),
        ("http://2130706433/x", "bad_url"),
        ("http://127.1/x", "bad_url"),
        ("http://127.0.0.1./x", "bad_url"),
    ],
)
def test_literal_addresses_are_checked(url: str, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        check_target(parse_url(url), Policy())
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
        check_target(parse_url(f"{scheme}://{host}/x"), Policy())
        refused = None
    except RefusedError as refusal:
        refused = refusal.reason
    assert (refused is None) == is_public(str(address))
    assert refused is None or refused.endswith("_address")


@given(st.text(st.characters(), max_size=40))
def test_any_text_is_a_url_or_none(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a.test/{text}"):
        with contextlib.suppress(RefusedError):
            check_target(parse_url(url), Policy())


def refused(url: str, policy: Policy, source: str | None = None) -> str:
    try:
        check_target(parse_url(url), policy, parse_url(source) if source else None)
    except RefusedError as refusal:
        return refusal.reason
    return "ok"


def test_a_listed_host_may_be_private_at_its_port() -> None:
    policy = Policy(private_hosts=("127.0.0.1:8099", "[::1]:80", "10.0.0.1:22", "169.254.169.254:80"))
    assert refused("http://127.0.0.1:8099/x", policy) == "ok"
    assert refused("http://[::1]/x", policy) == "ok"
    assert refused("http://10.0.0.1:22/x", policy) == "ok"
    assert refused("http://127.0.0.1:8100/x", policy) == "loopback_address"
    assert refused("http://127.0.0.1/x", policy) == "loopback_address"
    assert refused("http://169.254.169.254/x", policy) == "metadata_address"
    assert refused("http://8.8.8.8/x", Policy()) == "ok"


def test_no_redirect_leads_from_the_open_web_inside() -> None:
    policy = Policy(("127.0.0.1:8099", "inner.test:80"), ("photos.example",), 4321)
    outside, inside = "http://8.8.8.8/x", "http://127.0.0.1:8099/x"
    assert refused(inside, policy, outside) == "loopback_address"
    assert refused("http://inner.test/x", policy, outside) == "private_address"
    assert refused("http://photos.example/x", policy, outside) == "private_address"
    assert refused("http://photos.example/x", policy, "http://inner.test/x") == "ok"
    assert refused("http://inner.test/x", policy, inside) == "ok"
    assert refused(outside, policy, inside) == "ok"
    assert refused("http://127.0.0.1:8100/x", policy, inside) == "loopback_address"


@pytest.mark.parametrize("text", ["http://a.test/" + "a" * 8192, "http://a.test/" + "ü" * 2000, "a" * 100_000])
def test_addresses_that_are_too_long_are_counted_as_that(text: str) -> None:
    for act in (lambda: parse_url(text), lambda: joined(URL("http://b.test/x"), text)):
        with pytest.raises(RefusedError) as refusal:
            act()
        assert refusal.value.reason == "url_too_long"
    assert parse_url("http://a.test/" + "a" * 8000).raw_path == "/" + "a" * 8000


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
    assert resolve(Policy(), "a.test") == []
    assert resolve(Policy(private_hosts=("A.test:80",)), "a.test.", "10.0.0.1") == [("10.0.0.1", 80)]
    for policy in (Policy(private_hosts=("a.test:81",)), Policy(private_hosts=("b.test:80",))):
        with pytest.raises(PrivateAddressError):
            resolve(policy, "a.test", "10.0.0.1")


@pytest.mark.parametrize("address", ["169.254.169.254", "168.63.129.16", "fd00:ec2::254", "::ffff:a9fe:a9fe"])
def test_no_permission_reaches_the_metadata_of_a_cloud(address: str) -> None:
    policy = Policy(private_hosts=("a.test:80",))
    assert resolve(policy, "a.test", address, "10.0.0.1") == [("10.0.0.1", 80)]
    with pytest.raises(PrivateAddressError) as refusal:
        resolve(policy, "a.test", address)
    assert refusal.value.reason == "metadata_address"


def test_local_hosts_resolve_to_the_local_server() -> None:
    policy = Policy(local_hosts=("photos.example",), port=4321)
    assert resolve(policy, "Photos.Example", "8.8.8.8") == [("127.0.0.1", 4321)]
    assert resolve(policy, "evil.photos.example", "8.8.8.8") == [("8.8.8.8", 80)]
