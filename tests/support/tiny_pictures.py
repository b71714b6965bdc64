"""Small pictures for requests, made here."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def png(width: int = 64, height: int = 96, seed: bytes = b"", extra: bytes = b"") -> bytes:
    """Return a PNG of one colour; ``extra`` goes into a comment of the file."""
    colour = tuple((seed + b"\x50\x60\x70")[:3])
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return commented(out.getvalue(), extra) if extra else out.getvalue()


def commented(data: bytes, extra: bytes) -> bytes:
    """Return a PNG with a comment behind its header."""
    chunk = b"tEXt" + b"Comment\0" + extra
    packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + packed + data[33:]


def picture(kind: str, width: int = 64, height: int = 96) -> bytes:
    """Return a picture in one of Pillow's formats."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 40)).save(out, kind)
    return out.getvalue()


def padded(size: int, seed: int = 0, data: bytes = b"") -> bytes:
    """Return a PNG, that of ``data`` if given, made about ``size`` bytes large by a comment."""
    filling = bytes((seed + n * 7) % 251 + 1 for n in range(1000))
    found = data or png()
    return commented(found, filling * max(1, (size - len(found)) // 1000))
