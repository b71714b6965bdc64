from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.tryon.jobs.webhook import (
    ForbiddenAddressError,
    allowed_addresses,
    is_allowed,
)

PRIVATE = (
    "10.1.2.3",
    "172.16.0.9",
    "192.168.1.1",
    "127.0.0.1",
    "::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "100.64.0.1",  # a provider's, or a cloud's
    "100.127.255.254",
    "::ffff:100.64.0.1",
    "64:ff9b::a01:203",
    "2002:a01:203::1",
    "fd00::5efe:a01:203",
)
PUBLIC = ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822")
NEVER = (
    "169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
    "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "240.0.0.1",
    # Metadata services that are not link-local, and every way to write them.
    "168.63.129.16", "192.0.0.192", "192.0.0.1", "100.100.100.200", "fd00:ec2::254", "fd00:ec2::23",
    "fd20:ce::254", "fec0::1", "feff::1", "::ffff:168.63.129.16", "::ffff:192.0.0.192",
    "64:ff9b::a83f:8110", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:abcd::c000:c0", "2002:a83f:8110::1",
    "2002:c000:c0::", "2001:0:1::1", "fe80::1%1", "fd00::5efe:a9fe:a9fe", "::a9fe:a9fe",
    "2606:2800::200:5efe:a83f:8110", "::ffff:0:a9fe:a9fe",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_ones_if_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), private=True)
    assert not is_allowed(ip_address(address), private=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_ones(address: str) -> None:
    assert is_allowed(ip_address(address), private=True)
    assert is_allowed(ip_address(address), private=False)


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    assert not is_allowed(ip_address(address), private=False)
    assert not is_allowed(ip_address(address), private=True)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "64:ff9b:1::"]))
def test_a_wrapped_address_counts_as_itself(address: IPv4Address, prefix: str) -> None:
    wrapped = IPv6Address(int(IPv6Address(prefix)) | int(address))
    for private in (True, False):
        assert is_allowed(wrapped, private=private) == is_allowed(address, private=private)


async def test_names_are_resolved_and_judged() -> None:
    assert "127.0.0.1" in await allowed_addresses("localhost", 80, private=True)
    with pytest.raises(ForbiddenAddressError):
        await allowed_addresses("localhost", 80, private=False)
    with pytest.raises(ForbiddenAddressError):
        await allowed_addresses("169.254.169.254", 80, private=True)
