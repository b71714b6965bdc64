"""Keeps a port open whose server opens it itself, while that server is started again.

gRPC's server takes no socket from anybody. So the launcher listens at the port, too (SO_REUSEPORT),
and the kernel chooses by a program of one instruction: the second socket of the port, which is the
server's, as long as there is one; else the only one, this. What comes then waits here, and is
passed on both ways as soon as the server listens again. Connections made at other times never pass
the launcher.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.sockets import ListenError

BACKLOG = 1024
CHUNK = 2**16
LOOK_SECONDS = 0.02  # between looks whether the server listens
PATIENCE_SECONDS = 60.0
"""How long a connection waits for the server."""
_ATTACH_PROGRAM = 51  # SO_ATTACH_REUSEPORT_CBPF (asm-generic/socket.h)
_SECOND = struct.pack("HBBI", 0x06, 0, 0, 1)  # BPF_RET | BPF_K: the socket of index 1
_LISTEN = "0A"  # the state in /proc/net/tcp


class HeldPort:
    """A port of a server that binds it itself, with SO_REUSEPORT.

    Args:
        host: the server's numeric address.
        port: the server's.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._own = 0
        self._thread: threading.Thread | None = None
        self._look: asyncio.Task[None] | None = None
        self._end: Callable[[], object] = lambda: None

    def open(self) -> bool:
        """Begin; False where the kernel has no such programs, and the port is not held.

        Call it before the server listens.

        Raises:
            ListenError: the port is taken.
        """
        self._bind(shared=False).close()  # by nobody, not even by one who would share it
        sock = self._bind(shared=True)
        program = ctypes.create_string_buffer(_SECOND)
        try:
            sock.setsockopt(
                socket.SOL_SOCKET, _ATTACH_PROGRAM,
                struct.pack("HxxxxxxP", 1, ctypes.addressof(program)),
            )  # fmt: skip
        except OSError:
            sock.close()
            return False
        sock.listen(BACKLOG)
        sock.setblocking(False)
        self._own = os.fstat(sock.fileno()).st_ino
        runs = threading.Event()
        work = partial(asyncio.run, self._serve(sock, runs))
        self._thread = threading.Thread(target=work, name="held-port", daemon=True)
        self._thread.start()
        runs.wait()
        return True

    def close(self) -> None:
        """Listen no longer, and end what is passed on."""
        self._end()
        if self._thread:
            self._thread.join(5)

    def _bind(self, *, shared: bool) -> socket.socket:
        """Return a socket bound as gRPC binds: of both families where there is IPv6."""
        host = self._host
        if ":" in host or _has_ipv6():
            wildcard = host in ("0.0.0.0", "::")  # noqa: S104
            family = socket.AF_INET6
            address = "::" if wildcard else host if ":" in host else f"::ffff:{host}"
        else:
            family, address = socket.AF_INET, host
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
            sock.bind((address, self._port))
        except OSError as error:
            sock.close()
            raise ListenError(error.errno, f"{host}:{self._port}: {error.strerror}") from None
        return sock

    async def _serve(self, sock: socket.socket, runs: threading.Event) -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._end = lambda: None if loop.is_closed() else loop.call_soon_threadsafe(ended.set)
        accepting = asyncio.create_task(self._accept(sock))
        runs.set()
        await ended.wait()
        accepting.cancel()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        kept: set[asyncio.Task[None]] = set()
        with sock:
            while True:
                try:
                    client, _ = await loop.sock_accept(sock)
                except OSError:  # too many files are open, or the client has gone
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                task = asyncio.create_task(self._pass_on(client))
                kept.add(task)
                task.add_done_callback(kept.discard)
                task.add_done_callback(lambda _, client=client: client.close())  # type: ignore[misc]

    async def _pass_on(self, client: socket.socket) -> None:
        """Wait for the server, and be a wire between it and a client."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._served(), PATIENCE_SECONDS)
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as server:
                server.setblocking(False)
                await loop.sock_connect(server, (host, self._port))
                ways = [asyncio.ensure_future(_pipe(*ends))
                        for ends in ((client, server), (server, client))]  # fmt: skip
                try:
                    await asyncio.gather(*ways)
                finally:  # no socket is closed while a way still waits for it
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _served(self) -> None:
        """Wait until the server listens; one look is for all that wait."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_out())
        await asyncio.shield(self._look)

    async def _look_out(self) -> None:
        while not self._others():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_SECONDS)

    def _others(self) -> bool:
        """Whether another socket listens at the port."""
        port = f":{self._port:04X}"
        for table in (Path("/proc/net/tcp6"), Path("/proc/net/tcp")):
            for line in table.read_text().splitlines()[1:] if table.exists() else ():
                parts = line.split()
                if parts[3] == _LISTEN and parts[1].endswith(port) and int(parts[9]) != self._own:
                    return True
        return False


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


async def _pipe(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until their end, and that, too."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, CHUNK):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)
