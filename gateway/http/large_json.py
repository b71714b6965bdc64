"""JSON bodies of many megabytes, parsed without one call into C that is about all of them.

A parser holds the interpreter's lock until it is through, and before that the body has to be made
one buffer. Here the long strings, which the outline has located, are left out of what is parsed:
a token stands for each, and the strings are parsed by themselves, one after the other, those of
pictures and clips part by part. Values and errors are those of a parser that reads the whole.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import pydantic_core

from gateway.http.long_text import LongText
from gateway.large_work import rest

_QUOTE, _LINE_END = b'"', b"\n"
_PLACE = re.compile(r" at line (\d+) column (\d+)\Z")
_HEX = 4  # digits of an escape
_ESCAPE = 5  # bytes of an escape that is cut, at most
LONG = 2**16  # bytes of a string that is always parsed by itself
AT_ONCE = 2**24
"""Bytes that the parser is given at once; where shorter strings are more than that, they are parsed
by themselves, too, which costs several times as much."""
Partial = Literal["off", "trailing-strings"]


class Span(NamedTuple):
    """Where a string lies, without its quotes.

    Attributes:
        begin: offset of its first byte in the document.
        end: offset behind its last one.
        closed: whether its closing quote has come.
    """

    begin: int
    end: int
    closed: bool = True


class LongKeyError(Exception):
    """A name in an object is longer than a string may be."""


class LargeJson:
    """A document whose long strings are parsed by themselves.

    Args:
        pieces: the document, in UTF-8.
        spans: its strings that are worth it, in order; only the last one may be open.
        longest: bytes of a string that is made one ``str``; longer ones, of ASCII, become a
            :class:`~gateway.http.long_text.LongText`.
        at_once: see :data:`AT_ONCE`.

    Attributes:
        size: bytes that the parser is given at once.
    """

    def __init__(
        self,
        pieces: Sequence[bytes],
        spans: Sequence[Span],
        longest: int,
        at_once: int = AT_ONCE,
    ) -> None:
        self._pieces, self._longest = pieces, longest
        self._ends = [*accumulate(map(len, pieces))]
        long = [span for span in spans if span.end - span.begin >= LONG]
        if self._ends[-1] - sum(span.end - span.begin for span in long) > at_once:
            long = [*spans]
        self._spans = spans = long
        key = secrets.token_hex(8)  # no client can know the tokens
        self._tokens = [f"{key}{number}" for number in range(len(spans))]
        self._saved = [  # bytes that each token is shorter than its string
            span.end - span.begin - len(token)
            for span, token in zip(spans, self._tokens, strict=True)
        ]
        saved = accumulate(self._saved, initial=0)
        self._places = [span.begin - before for span, before in zip(spans, saved, strict=False)]
        self._short = b"".join(self._shortened())
        self.size = len(self._short)

    def parsed(self, partial: Partial = "off") -> Any:
        """Return the document's value.

        Args:
            partial: ``trailing-strings`` reads a document that is cut anywhere.

        Raises:
            ValueError: it is no JSON; says why and where, as the parser does.
            LongKeyError: a name is longer than ``longest``.
        """
        try:
            value = pydantic_core.from_json(self._short, allow_partial=partial)
        except ValueError as error:
            line, column = _place(error)
            end = _offset(self._short, line, column)
            # What the parser met first may be wrong within a string that it has not seen.
            for number in range(bisect_right(self._places, end)):
                self._string(number, partial)
            raise _worded(error, line, column + self._left_out(end)) from None
        rest()
        strings = {
            token: self._string(number, partial) for number, token in enumerate(self._tokens)
        }
        return _restored(value, strings) if strings else value

    def _shortened(self) -> Iterator[bytes]:
        """Yield the document with a token for each string."""
        at = 0
        for span, token in zip(self._spans, self._tokens, strict=True):
            yield from self._cut(at, span.begin)
            yield token.encode()
            at = span.end
        yield from self._cut(at, self._ends[-1])

    def _cut(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes between two offsets."""
        number = bisect_right(self._ends, begin)
        while begin < end:
            start = self._ends[number] - len(self._pieces[number])
            yield self._pieces[number][begin - start : end - start]
            begin, number = self._ends[number], number + 1

    def _string(self, number: int, partial: Partial) -> str | LongText:
        """Return a string, in parts if it is too long."""
        at, end, closed = self._spans[number]
        # Blanks for what follows: the parser tells an escape that is cut by a quote from an end.
        blanks = b" " * min(_HEX, self._ends[-1] - end - 1)
        closing = _QUOTE + blanks if closed else b""
        cuts = self._cut(at, end)
        if end - at <= self._longest:
            return self._read((_QUOTE, *cuts, closing), number, at, partial)
        parts, before = [], b""
        for piece in cuts:
            raw = before + piece
            if at + len(raw) == end:
                parts.append(self._read((_QUOTE, raw, closing), number, at, partial))
                break
            cut = len(raw) - _cut_escape(raw)
            parts.append(self._read((_QUOTE, raw[:cut], _QUOTE), number, at, partial))
            at, before = at + cut, raw[cut:]
        return LongText(parts)

    def _read(self, written: Iterable[bytes], number: int, at: int, partial: Partial) -> str:
        """Return what a string's piece says that begins ``at``."""
        try:
            text: str = pydantic_core.from_json(b"".join(written), allow_partial=partial)
        except ValueError as error:
            raise self._moved(error, number, at) from None
        rest()
        return text

    def _moved(self, error: ValueError, number: int, at: int) -> ValueError:
        """Return a string's error with its place in the document; the parser began ``at``."""
        line, column = _place(error)
        quote = self._places[number] - 1
        before = self._short.count(_LINE_END, 0, quote)
        if line == 1:  # else it is the end of the line that should not be there
            begin = self._short.rfind(_LINE_END, 0, quote) + 1
            column += quote - begin + at - self._spans[number].begin + self._left_out(quote)
        return _worded(error, before + line, column)

    def _left_out(self, end: int) -> int:
        """Return by how much a line is longer in the document, up to an offset in the short one."""
        begin = self._short.rfind(_LINE_END, 0, end) + 1
        first, last = bisect_left(self._places, begin), bisect_left(self._places, end)
        return sum(self._saved[first:last])


def _place(error: ValueError) -> tuple[int, int]:
    """Return line and column that an error of the parser names."""
    place = _PLACE.search(str(error))
    assert place is not None, error  # noqa: S101 - the parser names them always
    return int(place[1]), int(place[2])


def _worded(error: ValueError, line: int, column: int) -> ValueError:
    return ValueError(_PLACE.sub(f" at line {line} column {column}", str(error)))


def _offset(document: bytes, line: int, column: int) -> int:
    """Return the offset of a place; an end of a line is column 0 of the next one."""
    before, begin, end = line - 1, 0, len(document)
    if not before:
        return column - 1
    while end - begin > 1:  # halves, as there may be millions of lines
        middle = (begin + end) // 2
        count = document.count(_LINE_END, begin, middle)
        if count >= before:
            end = middle
        else:
            before, begin = before - count, middle
    return begin + column


def _cut_escape(piece: bytes) -> int:
    """Return how many bytes at the end are an escape that goes on in the next piece."""
    at = piece.rfind(b"\\", -_ESCAPE)
    if at < 0:
        return 0
    backslashes = at + 1 - len(piece[: at + 1].rstrip(b"\\"))
    length = len(piece) - at
    goes_on = length == 1 or piece.startswith(b"u", at + 1)
    return length if backslashes % 2 and goes_on else 0


def _restored(value: Any, strings: Mapping[str, str | LongText]) -> Any:
    """Put the strings where their tokens are; changes lists and objects in place."""
    box = [value]
    todo: list[list[Any] | dict[str, Any]] = [box]
    while todo:
        holder = todo.pop()
        if isinstance(holder, dict):
            if not strings.keys().isdisjoint(holder):
                items = [(_name(key, strings), item) for key, item in holder.items()]
                holder.clear()
                holder.update(items)
            places: Iterable[Any] = holder
        else:
            places = range(len(holder))
        for place in places:
            item = holder[place]
            if isinstance(item, str):
                if item in strings:
                    holder[place] = strings[item]
            elif isinstance(item, list | dict):
                todo.append(item)
    return box[0]


def _name(key: str, strings: Mapping[str, str | LongText]) -> str:
    name = strings.get(key, key)
    if isinstance(name, LongText):
        raise LongKeyError
    return name
