"""The outline of a JSON body while it arrives: refuses what would cost more than it is worth.

A parser builds an object per value, so a body of a few megabytes can take gigabytes. The outline
builds nothing: between strings it counts commas, within them bytes, with the C loops of ``bytes``.
It does not check the grammar, which the parser does afterwards on a body of bounded cost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.http.large_json import Span
from gateway.http.long_text import LONGEST

SHORT = 2**16  # bytes: a string of so many costs little, whatever is in it
APART = 2**10
"""Bytes of a string from which it is parsed by itself where the body is large."""
_TAIL = 5  # bytes of an escape that may be cut at the end of a chunk
# An escape that makes a string take two or four bytes a character; one that is cut is none yet.
_WIDE_ESCAPE = re.compile(rb"\\u(?!00[0-7]|0{0,2}\Z)")


@dataclass(frozen=True)
class Bounds:
    """What a body may hold.

    Attributes:
        values: members and items, over all its objects and lists.
        string: bytes of one string, as it is written.
        base64: whether a string of plain ASCII may be longer: a picture or a clip.
        wide: bytes of all long strings beyond ASCII, which take up to four times their size.
        between: bytes outside of strings.
        escapes: backslashes; each costs the parser more than a character.
    """

    values: int = 10_000
    string: int = LONGEST
    base64: bool = False
    wide: int = 16 * 2**20
    between: int = 4 * 2**20
    escapes: int = 2_100_000


class Outline:
    """Reads a body chunk by chunk.

    Args:
        bounds: what the body may hold.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._apart: list[Span] = []
        self._read = self._begin = 0
        self._values = self._between = self._strings = 0
        self._escapes = self._wide_bytes = 0
        self._inside = self._escaped = self._wide = False
        self._length = 0
        self._tail = b""

    def feed(self, chunk: bytes) -> tuple[str, str] | None:
        """Read the next bytes; return type and message of a problem once a bound is passed."""
        problem = self._scan(chunk, self._without_escapes(chunk))
        if self._escapes > self._bounds.escapes:
            return "too_long", f"JSON should have at most {self._bounds.escapes} escapes"
        return problem

    def apart(self) -> list[Span]:
        """Return the strings so far that are to be parsed by themselves."""
        if self._inside and self._read - self._begin >= APART:
            return [*self._apart, Span(self._begin, self._read, closed=False)]
        return self._apart

    def _scan(self, chunk: bytes, data: bytes) -> tuple[str, str] | None:
        """Look at a chunk; ``data`` is the same without escapes."""
        before, self._read = self._read, self._read + len(chunk)
        at = 0
        while True:
            if not self._inside:
                start = data.find(b'"', at)
                stop = len(data) if start < 0 else start
                if problem := self._gap(data, at, stop):
                    return problem
                if start < 0:
                    return None
                self._inside, self._wide, self._length, self._tail = True, False, 0, b""
                self._strings += 1
                at = start + 1
                self._begin = before + at
            end = data.find(b'"', at)
            problem = self._string(chunk, at, end)
            if end >= 0:
                self._inside = False
                if before + end - self._begin >= APART:
                    self._apart.append(Span(self._begin, before + end))
            if problem or end < 0:
                return problem
            at = end + 1

    def _without_escapes(self, chunk: bytes) -> bytes:
        """Return the chunk with escaped backslashes and quotes replaced, and nothing moved."""
        data = chunk
        if self._escaped and chunk:
            data = b"_" + data[1:]
            self._escaped = False
        if count := chunk.count(b"\\"):
            self._escapes += count
            data = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
            self._escaped = data.endswith(b"\\")
        return data

    def _gap(self, data: bytes, at: int, stop: int) -> tuple[str, str] | None:
        bounds = self._bounds
        self._values += data.count(b",", at, stop)
        self._between += stop - at
        if self._values >= bounds.values or self._strings > 2 * bounds.values + 2:
            return "too_long", f"Value should have at most {bounds.values} items in all"
        if self._between > bounds.between:
            return "too_long", f"JSON should have at most {bounds.between} bytes outside of strings"
        return None

    def _string(self, chunk: bytes, at: int, end: int) -> tuple[str, str] | None:
        bounds = self._bounds
        stop = len(chunk) if end < 0 else end
        if end >= 0 and not self._length and stop - at <= SHORT:
            return None
        before, self._length = self._length, self._length + stop - at
        if self._wide:
            self._wide_bytes += stop - at
        else:
            piece = self._tail + chunk[at:stop]
            self._tail = piece[-_TAIL:]
            if not piece.isascii() or (b"\\u" in piece and _WIDE_ESCAPE.search(piece)):
                self._wide = True
                self._wide_bytes += before + stop - at
        plain = bounds.base64 and not self._wide
        if (self._length > bounds.string and not plain) or self._wide_bytes > bounds.wide:
            return "string_too_long", f"String should have at most {bounds.string} bytes"
        return None
