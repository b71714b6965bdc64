"""Names of hosts, as settings and `Host` headers have them."""

from __future__ import annotations

import re
from ipaddress import ip_address

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{0,5})?")


def host_name(host: str) -> str | None:
    """Return the name in `host[:port]` in its one spelling, None where it is none.

    Lower case, without port, brackets and the dot of a root; an IPv6 address is compressed.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    address, name = match.groups()
    if address:
        return _compressed(address)
    return name.lower().removesuffix(".") or None


def configured_name(host: str) -> str | None:
    """Return the same of a setting, where an IPv6 address may come without brackets."""
    return _compressed(host) or host_name(host)


def is_address(name: str) -> bool:
    """Whether a name from one of these functions is an IP address."""
    return _compressed(name) is not None


def _compressed(address: str) -> str | None:
    try:
        return ip_address(address).compressed
    except ValueError:
        return None
