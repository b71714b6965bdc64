"""Listening sockets: opened here, or handed over by the launcher or by systemd.

Whoever hands them over keeps them open while the gateway is started again: connections wait in
their queues, and none is refused. The hand-over is that of sd_listen_fds(3): `LISTEN_FDS`
descriptors from 3 on, meant for the process `LISTEN_PID`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from gateway.settings.ports import gateway_ports

if TYPE_CHECKING:
    from gateway.settings import Settings

FIRST_DESCRIPTOR = 3
HELD = "LISTEN_HELD"
"""Variable with a port that its own server opens, and that the launcher listens at beside it."""
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class ListenError(OSError):
    """A port cannot be listened on; `strerror` names address and reason."""


def bind(host: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket that is not inherited by child processes.

    Raises:
        ListenError: the port is taken or not permitted, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise ListenError(error.errno, f"{host}:{port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def activated(environ: MutableMapping[str, str], pid: int) -> list[socket.socket]:
    """Return the sockets handed over to this process; its children will not see them.

    Raises:
        ValueError: a descriptor is not what was announced.
    """
    count, owner = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if owner != str(pid) or not count:
        return []
    if not (count.isascii() and count.isdigit() and len(count) <= 3):
        raise ValueError("LISTEN_FDS is not a number of descriptors")
    return adopted(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)))


def is_held(port: int | None, environ: Mapping[str, str]) -> bool:
    """Whether the launcher listens at a port, too, for the time in which its server is away."""
    return port is not None and environ.get(HELD) == str(port)


def adopted(descriptors: Iterable[int]) -> list[socket.socket]:
    """Return the sockets of inherited descriptors, which children no longer inherit.

    Raises:
        ValueError: one is not a listening TCP socket.
    """
    sockets = []
    for descriptor in descriptors:
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            raise ValueError(f"descriptor {descriptor} of LISTEN_FDS is not a socket") from None
        if not listening or sock.family not in _FAMILIES:
            sock.detach()
            raise ValueError(f"descriptor {descriptor} of LISTEN_FDS is no listening TCP socket")
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def listening(
    settings: Settings, handed_over: Sequence[socket.socket] = ()
) -> dict[int, list[socket.socket]]:
    """Return the sockets of every HTTP port; those that were not given are opened.

    Args:
        settings: address and ports.
        handed_over: listening sockets.

    Raises:
        ListenError: a port cannot be listened on.
        ValueError: a handed over socket is of no configured port, or more open than `server.host`.
    """
    server = settings.server
    ports = {port.number: port.setting for port in gateway_ports(settings) if port.http}
    by_port: dict[int, list[socket.socket]] = {number: [] for number in ports}
    for sock in handed_over:
        host, number = sock.getsockname()[:2]
        if number not in by_port:
            known = ", ".join(f"{setting} {number}" for number, setting in ports.items())
            raise ValueError(
                f"a socket for port {number} was handed over (LISTEN_FDS), but the ports are: "
                f"{known}"
            )
        if server.loopback_only and not ip_address(host).is_loopback:
            raise ValueError(
                f"the socket handed over for {ports[number]} (LISTEN_FDS) listens on {host}, but "
                f"server.host is {server.host}: set it to the same address"
            )
        by_port[number].append(sock)
    for number, sockets in by_port.items():
        if not sockets:
            sockets.append(bind(server.host, number, server.backlog))
    return by_port
