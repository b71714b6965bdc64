"""Picture files that no encoder writes."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def png_with_header(width: int, height: int) -> bytes:
    """A PNG that claims these dimensions; nearly all its pixels are missing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def animated_bomb() -> bytes:
    """A GIF of 60 pictures of 4 megapixels in few bytes; only the first one counts."""
    frames = [Image.new("P", (2000, 2000), number % 2) for number in range(60)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()
