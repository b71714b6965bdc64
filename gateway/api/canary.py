"""The picture of the canary inference."""

from __future__ import annotations

import struct
import zlib

SIDE = 32  # pixels


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _png(side: int) -> bytes:
    """Return a horizontal grey ramp as PNG (8-bit greyscale, no filter; W3C PNG, section 11)."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    row = b"\0" + bytes(255 * column // (side - 1) for column in range(side))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(row * side)),
            _chunk(b"IEND", b""),
        )
    )


CANARY_IMAGE = _png(SIDE)
"""32x32 pixels, about 100 bytes: made here because the gateway has no image library."""
