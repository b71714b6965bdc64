"""Type and size of a picture from its header, without decoding it.

As tolerant as the decoder behind it (`model_repository/*/1/pictures/jpeg_file.py` and its
neighbours).

Sources: PNG (W3C, 5.2 and 11.2.2), JPEG (ITU T.81, B.1 and B.2.2), WebP (RFC 9649, 2.5 to 2.7),
AVIF and HEIC (ISO/IEC 14496-12, 4.2; 23008-12, 6.5.3).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

PNG, JPEG, WEBP, AVIF = "image/png", "image/jpeg", "image/webp", "image/avif"
HEIC = "image/heic"
FORMATS = "PNG, JPEG, WebP or AVIF"
_HEIC_IS_READ = importlib.util.find_spec("pi_heif") is not None  # the extra `heic`
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIC),
}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM, RST0..7: without a length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_KNOWN = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
MAX_SEGMENTS = 20_000
MAX_STRAY = 1 << 17  # bytes before markers that belong to no segment
_FILL = b"\xff" * 1000  # before a marker; the standard has no limit, encoders write one or none
_AHEAD = 1024  # bytes in which a marker is looked for at once
_MAX_META = 1 << 20  # bytes of an AVIF's description; encoders write a few hundred
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}


class ImageHeader(NamedTuple):
    """What a picture's header says.

    Attributes:
        width: in pixels.
        height: in pixels.
    """

    content_type: str
    width: int
    height: int


class NotAnImageError(Exception):
    """None of the formats that are read, or truncated within the header."""


def read_header(file: BinaryIO) -> ImageHeader:
    """Return the header of the picture in a file, read from its beginning.

    Raises:
        NotAnImageError: see there.
    """
    start = file.read(30)
    if start.startswith(b"\x89PNG\r\n\x1a\n") and start[12:16] == b"IHDR":
        return _header(PNG, _big(start[16:20]), _big(start[20:24]))
    if start.startswith(b"\xff\xd8"):
        file.seek(2)
        return _Jpeg(file).header()
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(start)
    if start[4:8] == b"ftyp":
        file.seek(0)
        return _heif(file.read(_MAX_META))
    raise NotAnImageError


class _Jpeg:
    """Walks through the segments of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stray = MAX_STRAY

    def header(self) -> ImageHeader:
        for _ in range(MAX_SEGMENTS):
            marker = self._marker()
            if marker in _ALONE:
                continue
            if marker not in _FRAMES | _KNOWN:  # the picture begins or ends without a frame header
                break
            length = _big(_exactly(self._file, 2))
            if marker in _FRAMES:
                frame = _exactly(self._file, 5)  # precision, height, width
                return _header(JPEG, _big(frame[3:5]), _big(frame[1:3]))
            self._file.seek(max(length - 2, 0), 1)
        raise NotAnImageError

    def _marker(self) -> int:
        """Return the next marker, whatever stands before it."""
        while self._stray >= 0:
            ahead = self._file.read(_AHEAD)
            marker = _MARKER.search(ahead)
            if marker is not None:
                self._stray -= marker.start()
                self._file.seek(marker.end() - len(ahead), 1)
                return marker.group()[1]
            if len(ahead) < 2 or _FILL in ahead:
                break
            self._stray -= len(ahead) - 1
            self._file.seek(-1, 1)  # a marker may begin with the last one
        raise NotAnImageError


def _webp(start: bytes) -> ImageHeader:
    kind = start[12:16]
    if kind == b"VP8X":
        return _header(WEBP, _little(start[24:27]) + 1, _little(start[27:30]) + 1)
    if kind == b"VP8L" and start[20:21] == b"\x2f":
        bits = _little(start[21:25])
        return _header(WEBP, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and start[23:26] == b"\x9d\x01\x2a":
        return _header(WEBP, _little(start[26:28]) & 0x3FFF, _little(start[28:30]) & 0x3FFF)
    raise NotAnImageError


def _heif(data: bytes) -> ImageHeader:
    end = min(_big(data[:4]), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    kinds = {_BRANDS[brand] for brand in brands if brand in _BRANDS}
    if AVIF not in kinds and not (HEIC in kinds and _HEIC_IS_READ):
        raise NotAnImageError
    sizes = list(_sizes(data, 0, len(data)))
    if not sizes:
        raise NotAnImageError
    kind = AVIF if AVIF in kinds else HEIC
    return _header(kind, *max(sizes, key=lambda size: size[0] * size[1]))


def _sizes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Width and height of the pictures that a file describes."""
    for _ in range(1000):
        if end - start < 8:
            return
        size, kind = _big(data[start : start + 4]), data[start + 4 : start + 8]
        if size < 8:  # to the end, or more than 4 GiB
            return
        last = min(start + size, end)
        if kind in _CONTAINERS:
            yield from _sizes(data, start + 8 + _CONTAINERS[kind], last)
        elif kind == b"ispe" and last - start >= 20:
            yield _big(data[start + 12 : start + 16]), _big(data[start + 16 : start + 20])
        start += size


def _header(content_type: str, width: int, height: int) -> ImageHeader:
    if width < 1 or height < 1:
        raise NotAnImageError
    return ImageHeader(content_type, width, height)


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise NotAnImageError
    return data


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
