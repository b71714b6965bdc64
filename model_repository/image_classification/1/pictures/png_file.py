"""A PNG file as libpng reads it, made into one that Pillow reads: tidied, nothing decoded.

Pillow refuses files for what libpng only warns of, in chunks that no pixel depends on, and walks
through them in Python. So they are walked through here, and those that make the pixels are handed
on. Chunks: W3C PNG, 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from pictures.errors import ImageError, damaged, too_many_pieces
from pictures.exif_orientation import exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
"""Of a file; one of 50 MB has about 6,000."""
MAX_PROFILE = 1 << 22
"""Bytes of an ICC profile, unpacked; printers' have one to three million."""
_TRANSPARENCY = {0: (2,), 2: (6,), 3: range(1, 257)}  # lengths of tRNS by the kind of colour


@dataclass(frozen=True)
class PngFile:
    """What a file says before it is decoded.

    Attributes:
        data: The file with nothing but what makes its pixels.
        size: Width and height in pixels.
        orientation: Of EXIF, 1 to 8.
        profile: ICC profile.
    """

    data: bytes
    size: tuple[int, int]
    orientation: int
    profile: bytes | None


def read_png(data: bytes) -> PngFile:
    """Walk through a file.

    Args:
        data: Begins with the signature.

    Raises:
        ImageError: No picture.
    """
    walk = _Walk(data)
    walk.run()
    if len(walk.header) < 13:
        raise ImageError("image_invalid", "no PNG picture")
    if not walk.pixels:
        raise damaged()
    chunks = [_chunk(b"IHDR", walk.header)]
    if walk.palette:
        chunks.append(_chunk(b"PLTE", walk.palette))
    if len(walk.transparency) in _TRANSPARENCY.get(walk.header[9], ()):
        chunks.append(_chunk(b"tRNS", walk.transparency))
    chunks += [_chunk(b"IDAT", b"".join(walk.pixels)), _chunk(b"IEND", b"")]
    width, height = struct.unpack_from(">II", walk.header)
    return PngFile(
        SIGNATURE + b"".join(chunks),
        (width, height),
        exif_orientation(walk.exif),
        _unpacked(walk.profile),
    )


class _Walk:
    """Through the chunks of one file."""

    def __init__(self, data: bytes) -> None:
        self.header = b""
        self.palette = b""
        self.transparency = b""
        self.exif = b""
        self.profile = b""
        self.pixels: list[memoryview] = []
        self._data = memoryview(data)

    def run(self) -> None:
        """Collect the first chunk of each kind, and the first row of those with pixels."""
        at = len(SIGNATURE)
        for _ in range(MAX_CHUNKS):
            if at + 8 > len(self._data):
                return
            length, kind = struct.unpack_from(">I4s", self._data, at)
            body = self._data[at + 8 : at + 8 + length]
            at += 12 + length
            if kind == b"IEND" or (self.pixels and kind != b"IDAT"):
                return
            # The pixels have a checksum of their own, inside.
            if kind == b"IDAT" or self._is_sound(kind, body, at):
                self._keep(kind, body)
            elif kind in (b"IHDR", b"PLTE"):  # others are left out, as libpng does
                raise damaged() if self.header else ImageError("image_invalid", "no PNG picture")
        raise too_many_pieces()

    def _is_sound(self, kind: bytes, body: memoryview, end: int) -> bool:
        checksum = int.from_bytes(self._data[end - 4 : end], "big")
        return end <= len(self._data) and zlib.crc32(body, zlib.crc32(kind)) == checksum

    def _keep(self, kind: bytes, body: memoryview) -> None:
        if kind == b"IDAT":
            self.pixels.append(body)
        elif kind == b"IHDR":
            self.header = self.header or bytes(body)
        elif kind == b"PLTE":
            self.palette = self.palette or bytes(body)
        elif kind == b"tRNS":
            self.transparency = self.transparency or bytes(body)
        elif kind == b"eXIf":
            self.exif = self.exif or bytes(body)
        elif kind == b"iCCP":
            self.profile = self.profile or bytes(body)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def _unpacked(chunk: bytes) -> bytes | None:
    """Return the profile in iCCP: a name, one byte for the method, and packed data."""
    _, _, packed = chunk.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if unpacker.eof else None
