"""Tells a slow peer from one that only holds a connection."""

from __future__ import annotations


class Pace:
    """Bytes over time, judged once per window.

    Args:
        rate: least bytes per second.
        window: seconds over which they are averaged.
    """

    __slots__ = ("_bytes", "_least", "_since", "_window")

    def __init__(self, rate: float, window: float) -> None:
        self._least = rate * window
        self._window = window
        self._bytes = 0
        self._since = 0.0

    def restart(self, now: float, count: int) -> None:
        """Begin a window at ``now``, with ``count`` bytes behind it."""
        self._since = now
        self._bytes = count

    def pardon(self, seconds: float) -> None:
        """Leave time out of account."""
        self._since += seconds

    def too_slow(self, now: float, count: int) -> bool:
        """Say whether the window is over and too little came; a good one begins the next."""
        if now - self._since < self._window:
            return False
        if count - self._bytes < self._least:
            return True
        self.restart(now, count)
        return False
