"""Writes PNG, also the canary's: the gateway has no image library."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_GREY, _RGB = 0, 2  # colour types of W3C PNG, section 11.2.1


def png_grey(rows: bytes, width: int) -> bytes:
    """Return an 8-bit greyscale picture of the row-major ``rows``."""
    return _png(rows, width, width, _GREY)


def png_rgb(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture of ``pixels``, uint8 [height, width, 3], red first."""
    _, width, channels = pixels.shape
    return _png(np.ascontiguousarray(pixels).tobytes(), width, width * channels, _RGB)


def _png(rows: bytes, width: int, row_bytes: int, colour: int) -> bytes:
    height = len(rows) // row_bytes
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    filtered = b"".join(  # each row begins with its filter: none
        b"\0" + rows[at : at + row_bytes] for at in range(0, len(rows), row_bytes)
    )
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(filtered)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


CANARY_SIDE = 32  # pixels
CANARY_IMAGE = png_grey(
    bytes(255 * column // (CANARY_SIDE - 1) for column in range(CANARY_SIDE)) * CANARY_SIDE,
    CANARY_SIDE,
)
"""A horizontal grey ramp, 32x32 pixels, about 100 bytes: what canary inferences look at."""
