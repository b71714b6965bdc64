"""Which `Host` is answered where no key is needed: a page must not get in by a name of its own.

A page of any site can let its name point to this machine after it was loaded (DNS rebinding); to
the browser Pentad then is that site. What tells is the name in `Host`.
"""

from __future__ import annotations

import socket
from functools import lru_cache

from gateway.errors import GatewayError
from gateway.settings.hosts import configured_name, host_name, is_address
from gateway.settings.server import ServerSettings

LONGEST = 300  # characters; a name has 253 at most
ALWAYS = ("localhost", "127.0.0.1", "::1")
_ALL_ADDRESSES = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound


class MisdirectedError(GatewayError):
    """The request is for a host that this server is not known to be."""

    status, reason = 421, "host"
    default_detail = (
        "This Host is not answered without a key; server.allowed_hosts names further ones"
    )


class KnownHosts:
    """The names under which services without a key answer.

    A server that listens on all addresses also answers by every address, which no page can make its
    own, and by the machine's name.
    """

    def __init__(self, settings: ServerSettings) -> None:
        names = [*ALWAYS, settings.host, *settings.allowed_hosts]
        self._any_address = settings.host in _ALL_ADDRESSES
        if self._any_address:
            names.append(socket.gethostname())
        self._names = {configured_name(name) for name in names if not name.startswith("*")}
        self._endings = tuple(name[1:].lower() for name in names if name.startswith("*."))
        self._all = "*" in names
        self._cached = lru_cache(maxsize=64)(self._judge)  # nearly always the same one

    def __contains__(self, host: str) -> bool:
        """Whether the value of a `Host` header is known."""
        return self._all or (len(host) <= LONGEST and self._cached(host))

    def _judge(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        if name in self._names or name.endswith(self._endings):
            return True
        return self._any_address and is_address(name)
