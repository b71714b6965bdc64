"""A JPEG file as libjpeg reads it, made into one that Pillow reads: tidied, nothing decoded.

libjpeg skips what stands between segments and segments that it does not need, whatever is wrong
with them. Pillow's own walk through the header is stricter and, in Python, slow. So the header is
walked through here, and only what the decoder needs is handed on. Markers: ITU T.81, B.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pictures.errors import ImageError, damaged, too_many_pieces
from pictures.exif_orientation import exif_orientation

MAX_SEGMENTS = 20_000
"""Of a file; photographs have ten to a hundred."""
MAX_STRAY = 1 << 17
"""Bytes before markers that belong to no segment: twice the largest segment's."""
MAX_FILL = b"\xff" * 1000
"""In front of a marker; the standard has no limit, encoders write one or none."""
MAX_SCANS = 100
"""Of a progressive JPEG; encoders write about ten. Each one walks through the whole picture, so a
small file of thousands would keep a core busy for minutes."""
MAX_SCANNED_PIXELS = 1 << 30
"""Scans x pixels: sixteen scans of the largest picture, about a second."""

START, END = b"\xff\xd8", b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # without a length
_TABLES = frozenset([0xC4, 0xCC, 0xDB, 0xDD])  # Huffman, arithmetic, quantization, restarts
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_SKIPPED = frozenset([0xDC, 0xFE, *range(0xE0, 0xF0)])  # lines, comment, applications
_NOISE = bytes((37 * n * n + 11 * n) % 251 + 1 for n in range(4096))


@dataclass(frozen=True)
class JpegFile:
    """What a file says before it is decoded.

    Attributes:
        header: Everything that the decoder needs before the first scan.
        body: From the first scan to the end mark, without it.
        is_ended: Whether the end mark was there.
        size: Width and height in pixels.
        scans: How many there are.
        orientation: Of EXIF, 1 to 8.
        profile: ICC profile.
    """

    header: bytes
    body: bytes
    is_ended: bool
    size: tuple[int, int]
    scans: int
    orientation: int
    profile: bytes | None

    def whole_files(self) -> tuple[bytes, ...]:
        """Return the file with its end mark; where that is missing, behind two different ends.

        What is missing in a scan is filled with whatever comes next. So both show the same picture
        if nothing is missing, and only then.
        """
        if self.is_ended:
            return (self.header + self.body + END,)
        body = self.body.rstrip(b"\xff")
        restarts = _RESTART.findall(body)
        first = restarts[-1][1] + 1 if restarts else 0xD0
        marks = (bytes([0xFF, 0xD0 + (first + step) % 8]) for step in range(8))
        noise = _NOISE + b"".join(mark + _NOISE for mark in marks)
        return self.header + body + END, self.header + body + noise + END


def read_jpeg(data: bytes) -> JpegFile:
    """Walk through a file.

    Args:
        data: Begins with the start mark.

    Raises:
        ImageError: No picture, or one that takes too long to decode.
    """
    walk = _Walk(data)
    walk.header()
    body, end = walk.at, walk.scans()
    file = JpegFile(
        header=b"".join(walk.kept),
        body=data[body:end],
        is_ended=walk.is_ended,
        size=walk.size,
        scans=walk.count,
        orientation=walk.orientation,
        profile=walk.profile(),
    )
    pixels = file.size[0] * file.size[1]
    if file.scans > MAX_SCANS or file.scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageError("image_invalid", f"a JPEG of {file.scans} scans")
    if not file.is_ended and not walk.has_everything():
        raise damaged()
    return file


class _Walk:
    """Through the segments of one file."""

    def __init__(self, data: bytes) -> None:
        self.at = 2
        self.kept = [START]
        self.size = (0, 0)
        self.count = 0
        self.orientation = 1
        self.is_ended = False
        self._data = data
        self._left, self._stray = MAX_SEGMENTS, MAX_STRAY
        self._is_progressive = False
        self._components = b""
        self._bits_missing: dict[tuple[int, int], int] = {}
        self._profile: dict[int, bytes] = {}
        self._profile_parts = 0

    def header(self) -> None:
        """Collect what is kept of the segments before the first scan, where it ends."""
        while (marker := self._next()) != _SOS:
            if marker in _ALONE:
                continue
            if marker in (_SOI, _EOI) or marker not in _FRAMES | _TABLES | _SKIPPED:
                raise _none()
            start = self.at - 2
            body = self._body()
            if marker in _FRAMES:
                self._frame(marker, body)
            if marker in _FRAMES | _TABLES or self._is_needed(marker, body):
                self.kept.append(self._data[start : self.at])
        if not self._components:
            raise _none()
        self.at -= 2

    def scans(self) -> int:
        """Count the scans; where the last one ends."""
        while (match := _AFTER_SCAN.search(self._data, self.at)) is not None:
            self._one_less()
            marker, self.at = match.group()[1], match.end()
            if marker == _EOI:
                self.is_ended = True
                return match.start()
            if marker == _SOS:
                self.count += 1
                self._scan(self._body())
            elif marker in _TABLES | _SKIPPED:
                self._body()
        return len(self._data)

    def has_everything(self) -> bool:
        """Whether the scans hold every coefficient to its last bit (T.81, G.1.1.1)."""
        wanted = range(64) if self._is_progressive else range(1)
        return all(
            self._bits_missing.get((component, place)) == 0
            for component in self._components
            for place in wanted
        )

    def profile(self) -> bytes | None:
        """Return the ICC profile, if all parts of it are there (ICC.1, B.4)."""
        numbers = range(1, self._profile_parts + 1)
        if not numbers or sorted(self._profile) != [*numbers]:
            return None
        return b"".join(self._profile[number] for number in numbers)

    def _next(self) -> int:
        match = _MARKER.search(self._data, self.at, self.at + self._stray + 2)
        if match is None:
            if len(self._data) - self.at > self._stray:
                raise too_many_pieces()
            raise _none()
        self._one_less()
        stray = self._data[self.at : match.start()]
        if MAX_FILL in stray:
            raise too_many_pieces()
        self._stray -= len(stray)
        self.at = match.end()
        return match.group()[1]

    def _one_less(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise too_many_pieces()

    def _body(self) -> bytes:
        """Return the body of the segment whose marker was just read."""
        length = int.from_bytes(self._data[self.at : self.at + 2], "big")
        start = self.at + 2
        # A length that does not even count itself: nothing is skipped, as libjpeg does.
        self.at = max(start, self.at + length)
        return self._data[start : self.at]

    def _frame(self, marker: int, body: bytes) -> None:
        if len(body) < 6 or self._components:
            raise _none()
        self.size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
        self._components = body[6 : 6 + 3 * body[5] : 3]
        self._is_progressive = marker in _PROGRESSIVE

    def _scan(self, body: bytes) -> None:
        count = body[0] if body else 0
        if len(body) < 4 + 2 * count:
            return  # damaged, as the decoder will say
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        for component in body[1 : 1 + 2 * count : 2]:
            for place in range(first, min(last, 63) + 1):
                self._bits_missing[component, place] = bits & 15

    def _is_needed(self, marker: int, body: bytes) -> bool:
        """Whether the decoder wants an application segment; reads those that are for others."""
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            self.orientation = exif_orientation(body)
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            self._profile.setdefault(body[12], body[14:])
            self._profile_parts = body[13]
        jfif = marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14
        return jfif or (marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12)


def _none() -> ImageError:
    return ImageError("image_invalid", "no JPEG picture")
