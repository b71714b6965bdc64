"""Which addresses a callback may be sent to.

Destinations come from the configuration alone. What is left to guard against is a name that
resolves to something inside that was never meant: an address is chosen once per attempt, judged,
and connected to, so that a second answer of the name server changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 addresses as IPv6-only networks see them


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
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    good = [one for one in addresses if is_allowed(ip_address(one), private=private)]
    if not good:
        raise ForbiddenAddressError
    return good


def is_allowed(address: Address, *, private: bool) -> bool:
    """Whether an address may be called; one that wraps an IPv4 address counts as that."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner:
            return is_allowed(inner, private=private)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_loopback:  # of IPv6, it is among the reserved ones
        return private
    if address.is_reserved:
        return False
    return private if address.is_private else address.is_global
