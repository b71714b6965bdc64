"""Reads and writes single fields of the protobuf wire format without copying what they hold.

Format: https://protobuf.dev/programming-guides/encoding/. The generated classes would copy every
`bytes` field, 61 MB for 25 frames, and know one dialect each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
Value = int | memoryview
MAX_FIELDS = 10_000  # a message of a million empty fields must not hold up the event loop
_MAX_DEPTH = 100  # of unknown groups, as in Google's parsers
_SIZES = {FIXED64: 8, FIXED32: 4}
_FLOAT = struct.Struct("<f")


class MalformedError(ValueError):
    """The bytes are no protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield number, wire type and value of every field in the order of the wire.

    Values are integers of 64 bits, or views into ``message`` where the wire type has bytes.
    Groups, which nothing here uses, are skipped.

    Raises:
        MalformedError: truncated, not protobuf, or more than ``MAX_FIELDS`` fields.
    """
    groups: list[int] = []
    at, end, count = 0, len(message), 0
    while at < end:
        count += 1
        if count > MAX_FIELDS:
            raise MalformedError("too many fields")
        tag, at = _varint(message, at, 5)
        number, kind = tag >> 3, tag & 7
        if not number or tag >> 32:
            raise MalformedError("field number out of range")
        value: Value = 0
        if kind == VARINT:
            value, at = _varint(message, at, 10)
        elif kind in (FIXED32, FIXED64, LENGTH):
            size = _SIZES.get(kind)
            if size is None:
                size, at = _varint(message, at, 5)
            if size > end - at:
                raise MalformedError("truncated field")
            value = message[at : at + size]
            at += size
        elif kind == START_GROUP:
            groups.append(number)
            if len(groups) > _MAX_DEPTH:
                raise MalformedError("groups too deep")
            continue
        elif kind == END_GROUP:
            if not groups or groups.pop() != number:
                raise MalformedError("group ends that never began")
            continue
        else:
            raise MalformedError("unknown wire type")
        if not groups:
            yield number, kind, value
    if groups:
        raise MalformedError("group without end")


def _varint(message: memoryview, at: int, longest: int) -> tuple[int, int]:
    """Return a varint of at most ``longest`` bytes, cut to 64 bits, and where it ends."""
    value = shift = 0
    for byte in message[at : at + longest]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise MalformedError("varint without end")


def int32(value: int) -> int:
    """Return the lower 32 bits of a varint as a signed number, as parsers of `int32` do."""
    low = value & 0xFFFF_FFFF
    return low - (1 << 32) if low >> 31 else low


def varint(value: int) -> bytes:
    """Return a non-negative number as varint."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def header(number: int, size: int) -> bytes:
    """Return what stands before ``size`` bytes of field ``number``."""
    return varint(number << 3 | LENGTH) + varint(size)


def float_field(number: int, value: float) -> bytes:
    """Return a `float` field; nothing for 0, as proto3 wants it."""
    raw = _FLOAT.pack(value)
    return varint(number << 3 | FIXED32) + raw if any(raw) else b""


def varint_field(number: int, value: int) -> bytes:
    """Return a field with a number from 0 to 2^31-1, or a `bool`; nothing for 0."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def text_field(number: int, text: str) -> bytes:
    """Return a `string` field; nothing for an empty one."""
    raw = text.encode()
    return header(number, len(raw)) + raw if raw else b""
