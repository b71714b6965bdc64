"""Changes to the boxes of MP4 files, for headers that no encoder writes."""

from __future__ import annotations

import struct


def box(kind: bytes, body: bytes) -> bytes:
    """One box."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def body_of(data: bytes, kind: bytes) -> int:
    """Where the body of the first box of this kind begins."""
    return data.index(kind) + 4


def with_number(data: bytes, kind: bytes, offset: int, number: int, size: int = 4) -> bytes:
    """`data` with a big-endian number at `offset` in the body of the first box of this kind."""
    at = body_of(data, kind) + offset
    return data[:at] + number.to_bytes(size, "big") + data[at + size :]


def with_brands(data: bytes, major: bytes, *compatible: bytes) -> bytes:
    """`data` with other brands; it must be one without offsets into the file (fragmented)."""
    size = int.from_bytes(data[:4], "big")
    return box(b"ftyp", major + bytes(4) + b"".join(compatible)) + data[size:]
