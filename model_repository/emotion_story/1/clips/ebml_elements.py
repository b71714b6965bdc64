"""Elements of a WebM file (RFC 8794), found without reading what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_ELEMENTS = 60_000
"""In one file; a clip of two minutes with sound has about 20,000."""


class ElementError(ValueError):
    """The bytes are no sequence of elements."""


@dataclass(frozen=True)
class Element:
    """One element.

    Attributes:
        kind: Its ID, the marker bits included.
        start: Where it starts in the file.
        body: Where its header ends.
        end: Where it ends, at most where the element around it does.
        is_open: Whether it does not say how long it is.
        is_cut: Whether it says that it is longer.
    """

    kind: int
    start: int
    body: int
    end: int
    is_open: bool
    is_cut: bool


class ElementReader:
    """Reads the elements of one file, of which it bounds the number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ELEMENTS

    @property
    def is_exhausted(self) -> bool:
        """Whether no more elements are read."""
        return self._left <= 0

    def elements(self, start: int, end: int) -> Iterator[Element]:
        """Elements one after another; behind one that is open nothing is known.

        Raises:
            ElementError: An impossible header, or too many.
        """
        while start < end:
            if self.is_exhausted:
                raise ElementError("too many elements")
            self._left -= 1
            length = _length(self._data[start], 4)
            head = start + length
            if head >= end:
                return
            width = _length(self._data[head], 8)
            body = head + width
            if body > end:
                return
            kind = int.from_bytes(self._data[start:head], "big")
            size = self.number(head, width)
            is_open = size == (1 << 7 * width) - 1
            last = end if is_open else body + size
            yield Element(kind, start, body, min(last, end), is_open, last > end)
            if is_open:
                return
            start = last

    def number(self, at: int, width: int | None = None) -> int:
        """Return the number of variable length at `at`, without its marker bit.

        Raises:
            ElementError: There is none.
        """
        if width is None:
            width = _length(self._data[at], 8) if at < len(self._data) else 9
        if at + width > len(self._data):
            raise ElementError("a number that leaves the file")
        marker = 1 << 7 * width
        return int.from_bytes(self._data[at : at + width], "big") & marker - 1

    def unsigned(self, element: Element) -> int:
        """Return what an unsigned integer element says.

        Raises:
            ElementError: It is longer than eight bytes.
        """
        if element.end - element.body > 8:
            raise ElementError("a number that is too long")
        return int.from_bytes(self._data[element.body : element.end], "big")


def number_length(first: int) -> int:
    """Bytes of a number of variable length, by its first byte."""
    return _length(first, 8)


def element(kind: int, body: bytes) -> bytes:
    """One element as bytes, with a size of eight bytes."""
    size = (len(body) | 1 << 56).to_bytes(8, "big")
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + size + body


def _length(first: int, most: int) -> int:
    length = 9 - first.bit_length()
    if length > most:
        raise ElementError("no number of variable length")
    return length
