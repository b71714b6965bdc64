"""Pinned memory of the host for the weights of tenants that have no room on the device.

It is bounded, for nobody can swap it out, and grows by whole segments. The device may still read
what lies in it when its owner gives it back: the next owner is told what to wait for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

SEGMENT = 2**29
"""Bytes that are pinned at a time; a power of two, for torch's allocator rounds up to one."""


@dataclass(eq=False)
class Piece:
    """Room for one tenant.

    Attributes:
        memory: Its bytes, a flat tensor of uint8.
        pending: Events of work on the device that reads or writes it.
        users: Threads that are about to start such work.
        dropped: Whether it goes back with the last of them.
    """

    memory: torch.Tensor
    pending: list[Any]
    _segment: int
    _offset: int
    users: int = 0
    dropped: bool = False


@dataclass(frozen=True)
class _Gap:
    """Free bytes of a segment, and the events after which they may be written."""

    first: int
    last: int
    pending: list[Any] = field(default_factory=list)


class PinnedArena:
    """Pieces of at most `capacity` bytes together; safe to use from any thread."""

    def __init__(self, capacity: int, pin: Callable[[int], torch.Tensor]) -> None:
        """`pin` gives that many bytes of pinned memory or raises RuntimeError."""
        self._capacity = capacity
        self._pin = pin
        self._lock = threading.Lock()
        self._segments: list[torch.Tensor] = []
        self._gaps: list[list[_Gap]] = []

    @property
    def pinned_bytes(self) -> int:
        """Bytes that are pinned, used or not."""
        return sum(len(segment) for segment in self._segments)

    @property
    def free_bytes(self) -> int:
        """Pinned bytes that nobody uses."""
        with self._lock:
            return sum(gap.last - gap.first for gaps in self._gaps for gap in gaps)

    def take(self, size: int) -> Piece | None:
        """Room for `size` bytes, or None; write there after its `pending` only."""
        with self._lock:
            return self._cut(size) or (self._cut(size) if self._grow(size) else None)

    def use(self, piece: Piece) -> None:
        """Keep a piece from others until `used`."""
        with self._lock:
            piece.users += 1

    def used(self, piece: Piece, event: Any) -> None:
        """End `use`: the device works with the piece until `event`."""
        with self._lock:
            piece.pending = [pending for pending in piece.pending if not pending.query()]
            piece.pending.append(event)
            piece.users -= 1
            if piece.dropped and piece.users == 0:
                self._close(piece)

    def drop(self, piece: Piece) -> None:
        """Give a piece back."""
        with self._lock:
            piece.dropped = True
            if piece.users == 0:
                self._close(piece)

    def _cut(self, size: int) -> Piece | None:
        """Return the first gap that is large enough, cut to size."""
        for segment, gaps in enumerate(self._gaps):
            for number, gap in enumerate(gaps):
                end = gap.first + size
                if end <= gap.last:
                    rest = [_Gap(end, gap.last, gap.pending)] if end < gap.last else []
                    gaps[number : number + 1] = rest
                    memory = self._segments[segment][gap.first : end]
                    return Piece(memory, list(gap.pending), segment, gap.first)
        return None

    def _grow(self, size: int) -> bool:
        """Pins one more segment."""
        size = max(size, SEGMENT)
        if self.pinned_bytes + size > self._capacity:
            return False
        try:
            self._segments.append(self._pin(size))
        except RuntimeError:  # what may be locked is used up: from now on tenants are read again
            self._capacity = 0
            return False
        self._gaps.append([_Gap(0, size)])
        return True

    def _close(self, piece: Piece) -> None:
        """Make a gap of a piece, one with its neighbours."""
        gaps = self._gaps[piece._segment]
        joined = _Gap(piece._offset, piece._offset + len(piece.memory), piece.pending)
        for gap in [
            other for other in gaps if other.last == joined.first or other.first == joined.last
        ]:
            gaps.remove(gap)
            pending = [other for other in (*joined.pending, *gap.pending) if not other.query()]
            joined = _Gap(min(joined.first, gap.first), max(joined.last, gap.last), pending)
        gaps.append(joined)
        gaps.sort(key=lambda gap: gap.first)
