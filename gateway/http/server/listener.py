"""A uvicorn server for one port, and how many connections file descriptors are enough for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import resource
import socket
from collections.abc import Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from gateway.http.server.connection import Connection
from gateway.http.server.watch import Watch
from gateway.settings.server import ServerSettings
from gateway.telemetry.log import where
from gateway.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
RESERVED_SHARE = 4  # a quarter is for files, databases, shared memory and Triton
RESERVED_LEAST = 128
MOST = 2048  # per listener, unless more are wanted: a connection takes memory, too
UNLIMITED = 2**20


class Listener(uvicorn.Server):
    """Serves one socket; looks at its connections about once a second; leaves signals alone.

    Args:
        settings: limits of connections and times.
        capacity: connections that may be open.
        metrics: where connections are counted.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, capacity: int, metrics: Metrics, port: int
    ) -> None:
        self._watch = Watch(
            settings.connections,
            settings.keep_alive_seconds,
            capacity,
            metrics,
            port,
            asyncio.get_running_loop().time(),
        )
        super().__init__(_config(app, settings, self._watch))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: one signal ends all listeners together."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until ``should_exit``, then finish what runs."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            await super().serve(sockets)
        finally:
            sweeping.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._watch.pause)
            connections = cast("set[Connection]", self.server_state.connections)
            try:
                self._watch.sweep(connections, loop.time())
            except Exception as error:  # a bug must not end the limits of all
                log.error("sweep failed", extra=where(error))


def _config(app: ASGIApp, settings: ServerSettings, watch: Watch) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=functools.partial(Connection, watch=watch),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        date_header=True,
        backlog=settings.backlog,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )


def raise_limit() -> int:
    """Raise this process's limit of open files to the most it may have, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard


def connections_per_listener(descriptors: int, listeners: int, most: int | None = None) -> int:
    """Return how many connections each listener may hold, with descriptors kept in reserve.

    Args:
        descriptors: limit of open files of this process.
        listeners: listeners that share them; at least 1.
        most: wanted at most; never more than there are descriptors for.
    """
    reserve = max(RESERVED_LEAST, descriptors // RESERVED_SHARE)
    return max(1, min(most or MOST, (descriptors - reserve) // listeners))
