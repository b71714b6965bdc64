"""Boxes of an MP4 file (ISO/IEC 14496-12), found without reading what is in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BOXES = 20_000
"""In one file; a clip of two minutes in fragments of a quarter second has about 6,000."""


class BoxError(ValueError):
    """The bytes are no sequence of boxes."""


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        kind: Its four letters.
        start: Where its header starts in the file.
        body: Where its header ends.
        end: Where it ends, at most where the box around it does.
        is_cut: Whether it says that it is longer.
    """

    kind: bytes
    start: int
    body: int
    end: int
    is_cut: bool


class BoxReader:
    """Reads the boxes of one file, of which it bounds the number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_BOXES

    def boxes(self, start: int, end: int) -> Iterator[Box]:
        """Boxes one after another between two offsets.

        Raises:
            BoxError: A size is impossible, or there are too many.
        """
        while end - start >= 8:
            self._left -= 1
            if self._left < 0:
                raise BoxError("too many boxes")
            size, kind = struct.unpack_from(">I4s", self._data, start)
            body = start + 8
            if size == 1:
                if end - body < 8:
                    raise BoxError("no room for a 64-bit size")
                (size,) = struct.unpack_from(">Q", self._data, body)
                body += 8
            elif size == 0:  # to the end of what it is in
                size = end - start
            if size < body - start:
                raise BoxError("a box smaller than its header")
            yield Box(kind, start, body, min(start + size, end), start + size > end)
            start += size

    def children(self, box: Box) -> Iterator[Box]:
        """Boxes inside `box`.

        Raises:
            BoxError: See `boxes`; also one that does not fit into `box`.
        """
        for child in self.boxes(box.body, box.end):
            if child.is_cut:
                raise BoxError("a box that leaves the one around it")
            yield child

    def numbers(self, box: Box, layout: str, offset: int = 0) -> tuple[int, ...]:
        """Numbers at `offset` in the body of `box`, big-endian, as `struct` lays them out.

        Raises:
            BoxError: The box is too short.
        """
        layout = ">" + layout
        if box.body + offset + struct.calcsize(layout) > box.end:
            raise BoxError("a box without its fields")
        return struct.unpack_from(layout, self._data, box.body + offset)
