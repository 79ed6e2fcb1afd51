from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.scrape.ranges import is_metadata, is_public, refusal_of

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::",
    "2001:db8::1", "168.63.129.16", "192.0.0.192", "192.0.0.9", "192.88.99.1", "198.18.0.1", "203.0.113.9",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:20::1", "3fff::1", "5f00::1", "100::1", "64:ff9b:1::1",
    "fec0::1", "fd20:ce::254", "2002:a00:1::1", "64:ff9b::a83f:8110", "4000::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
          "168.63.129.15", "100.128.0.1", "172.32.0.1", "2001:200::1", "2a00:1450::1", "2002:808:808::1"]  # fmt: skip


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


@given(st.integers(0, 2**32 - 1) | st.sampled_from([0xA9FEA9FE, 0xA83F8110, 0xC00000C0]))
def test_a_metadata_address_is_one_however_it_is_written(number: int) -> None:
    address = str(IPv4Address(number))
    assert is_metadata(f"::ffff:{address}") == is_metadata(address)
    assert not is_public(address) or not is_metadata(address)
    assert (refusal_of(address) == "metadata_address") == is_metadata(address)
