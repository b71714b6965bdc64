"""What the connections of one listener share: limits, a coarse clock, counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from prometheus_client import Gauge

from gateway.settings.server import ConnectionSettings
from gateway.telemetry.metrics import Metrics

LONGEST_PAUSE = 1.0  # seconds between two sweeps


class Watched(Protocol):
    """A connection as the sweep sees it."""

    def check(self, now: float) -> None:
        """End the connection if it has used up its time."""

    def pardon(self, seconds: float) -> None:
        """Forgive time in which this process did not listen."""

    def yield_place(self, now: float) -> bool:
        """Close if no request would be lost; say whether it did."""


class Watch:
    """One object per listener; its connections have no timers of their own.

    Args:
        limits: limits of a connection.
        keep_alive: idle seconds of a connection between two requests.
        capacity: connections that the listener may hold.
        metrics: where connections are counted.
    """

    def __init__(
        self,
        limits: ConnectionSettings,
        keep_alive: float,
        capacity: int,
        metrics: Metrics,
        port: int,
        now: float,
    ) -> None:
        self.limits = limits
        self.keep_alive = keep_alive
        self.capacity = capacity
        shortest = min(limits.head_seconds, limits.stall_seconds, limits.linger_seconds, keep_alive)
        self.pause = min(LONGEST_PAUSE, shortest / 4)
        self.now = now + self.pause
        """Time that events until the next sweep are stamped with: never too early."""
        self.turned_away = 0
        """Connections above the capacity that are still being told so."""
        self._open: Gauge = metrics.connections.labels(port)
        self._ended = metrics.connections_ended
        self._port = port
        self._candidates: list[Watched] = []

    def count(self, reason: str) -> None:
        """Count a connection that is ended by the gateway."""
        self._ended.labels(self._port, reason).inc()

    def make_room(self, now: float) -> bool:
        """Close a connection without a request, as last swept; say whether there was one."""
        while self._candidates:
            if self._candidates.pop().yield_place(now):
                return True
        return False

    def sweep(self, connections: Collection[Watched], now: float) -> None:
        """Look at every connection once; call it every ``pause`` seconds."""
        late = now - self.now
        for connection in tuple(connections):
            if late > self.pause:
                connection.pardon(late)
            connection.check(now)
        self._candidates = list(connections)
        self._open.set(len(connections))
        self.now = now + self.pause
