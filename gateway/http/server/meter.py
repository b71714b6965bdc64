"""Bytes of a request on the wire: how many they are, and how fast they come."""

from __future__ import annotations

from gateway.http.server.head import Headers
from gateway.http.server.refusal import Refusal, head_too_large
from gateway.settings.server import ConnectionSettings

CHUNK_FRAMING = 32  # bytes of framing per chunk that are not counted: sizes, line ends, signatures


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


class Meter:
    """Counts what the parser keeps or skips without a callback.

    Bytes are counted by the parts in which they arrive, because the parser tells nothing of what
    is incomplete; only where a part exceeds the limit is it looked at more closely.

    Attributes:
        part: bytes being parsed.
        begun: whether a request ended in them, so that the next began somewhere in them.
        body: bytes of the body so far.
    """

    def __init__(self, limits: ConnectionSettings) -> None:
        self._most = limits.max_head_bytes
        self._most_headers = limits.max_headers
        self.part = 0
        self.begun = False
        self.body = 0
        self.chunks = 0
        self._head = 0  # bytes of the head in parts before this one
        self._raw = 0  # bytes that the body took on the wire, in parts after the head's

    def begin_head(self) -> None:
        """Begin a request."""
        self._head = 0

    def complete_head(self, target: bytes, headers: Headers) -> Refusal | None:
        """Begin the body; return what is wrong with the size of a complete head."""
        self.body, self.chunks, self._raw = 0, 0, -self.part
        if self._head + self.part > self._most and _size(target, headers) > self._most:
            return self._too_large()
        return self._too_many(headers)

    def incomplete_head(self, target: bytes, headers: Headers) -> Refusal | None:
        """Count a part in which no head ended; return what is wrong with it."""
        self._head += _size(target, headers) if self.begun else self.part
        return self._too_large() if self._head > self._most else self._too_many(headers)

    def incomplete_body(self) -> Refusal | None:
        """Count a part in which no body ended; return what is wrong with it."""
        self._raw += self.part
        if self._raw - self.body - CHUNK_FRAMING * self.chunks > self._most:
            return head_too_large("Too much beside the body: extensions, trailers")
        return None

    def _too_large(self) -> Refusal:
        return head_too_large(f"Request line and headers are over {self._most} bytes")

    def _too_many(self, headers: Headers) -> Refusal | None:
        if len(headers) <= self._most_headers:
            return None
        return head_too_large(f"More than {self._most_headers} headers")


def _size(target: bytes, headers: Headers) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
