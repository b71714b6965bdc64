"""Type and size of a picture from its header, without decoding it.

Sources: PNG (W3C, 5.2 and 11.2.2), JPEG (ITU T.81, B.1 and B.2.2), WebP (RFC 9649, 2.5 to 2.7).
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM, RST0..7
_NOT_SOF = frozenset({0xC4, 0xC8, 0xCC})  # DHT, JPG, DAC lie among the frame headers
MAX_SEGMENTS = 10_000
MAX_FILL = 1_000  # bytes before a marker; the standard has no limit, encoders write one or none


class ImageHeader(NamedTuple):
    """What a picture's header says.

    Attributes:
        content_type: by content, whatever the upload claimed.
        width: in pixels.
        height: in pixels.
    """

    content_type: str
    width: int
    height: int


class NotAnImageError(Exception):
    """Neither PNG nor JPEG nor WebP, or truncated within the header."""


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
        return _jpeg(file)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(start)
    raise NotAnImageError


def _jpeg(file: BinaryIO) -> ImageHeader:
    for _ in range(MAX_SEGMENTS):
        marker = _marker(file)
        if marker in _NO_LENGTH:
            continue
        length = _big(_exactly(file, 2))
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_SOF:
            frame = _exactly(file, 5)  # precision, height, width
            return _header(JPEG, _big(frame[3:5]), _big(frame[1:3]))
        if length < 2 or marker in (0xD9, 0xDA):  # the picture begins without a frame header
            break
        file.seek(length - 2, 1)
    raise NotAnImageError


def _marker(file: BinaryIO) -> int:
    if _exactly(file, 1) != b"\xff":
        raise NotAnImageError
    for _ in range(MAX_FILL):
        code = _exactly(file, 1)[0]
        if code != 0xFF:
            return code
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
