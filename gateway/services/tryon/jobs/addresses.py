"""Which addresses a callback may be sent to.

Destinations come from the configuration alone. What is left to guard against is a name that
resolves to something inside that was never meant: an address is chosen once per attempt, judged,
and connected to, so that a second answer of the name server changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from gateway.lookups import look_up

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAX_ADDRESSES = 8
"""That are tried in one attempt, whatever number a name server returns."""
NEVER: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        # Metadata services that are not link-local: of Azure, Oracle (with what else the IETF has
        # assigned), Alibaba, AWS (with its other services for instances), Google.
        "168.63.129.16/32",
        "192.0.0.0/24",
        "100.100.100.200/32",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fec0::/10",  # site-local (RFC 3879: withdrawn)
        "2001::/32",  # Teredo: whose relay sends it where, nobody knows
    )
)
SHARED = ip_network("100.64.0.0/10")  # RFC 6598: inside a provider's or a cloud's network
NAT64 = tuple(ip_network(prefix) for prefix in ("64:ff9b::/96", "64:ff9b:1::/48"))  # RFC 6052, 8215
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214: before the IPv4 address, in any prefix


class ForbiddenAddressError(Exception):
    """The receiver's name stands for no address that may be called."""


async def allowed_addresses(host: str, port: int, *, private: bool) -> list[str]:
    """Resolve a name and return the addresses that may be connected to, in the resolver's order.

    Args:
        host: name or address.
        port: of the receiver.
        private: whether private and loopback addresses may be.

    Raises:
        ForbiddenAddressError: there is none.
        OSError: the name cannot be resolved.
        ValueError: it is no name.
    """
    addresses = await look_up(host, port)
    good = [address for address in addresses if is_allowed(ip_address(address), private=private)]
    if not good:
        raise ForbiddenAddressError
    return good[:MAX_ADDRESSES]


def is_allowed(address: Address, *, private: bool) -> bool:
    """Whether an address may be called, and any IPv4 address that is reached through it."""
    if any(address in network for network in NEVER):
        return False
    if isinstance(address, IPv6Address):
        inner = list(_embedded(address))
        if not all(is_allowed(address, private=private) for address in inner):
            return False
        if inner and not _isatap(address):  # it stands for nothing else
            return True
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_loopback:  # of IPv6, it is among the reserved ones
        return private
    if address.is_reserved:
        return False
    return private if address.is_private or address in SHARED else address.is_global


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address carries."""
    if wrapped := address.ipv4_mapped or address.sixtofour:
        yield wrapped
    if any(address in network for network in NAT64) or _isatap(address):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)


def _isatap(address: IPv6Address) -> bool:
    return int(address) >> 32 & 0xFFFF_FFFF in ISATAP
