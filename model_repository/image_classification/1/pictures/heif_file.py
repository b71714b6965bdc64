"""The header of an AVIF or HEIC file: how large its pictures are, nothing decoded.

Boxes: ISO/IEC 14496-12; items: ISO/IEC 23008-12; the sizes inside AV1: its specification, 5.5.
Decoders reserve what the coded picture says, whatever the boxes around it promise.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from pictures.errors import ImageError, damaged, too_large, too_many_pieces

AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
MAX_BOXES = 10_000
MAX_UNITS = 1000
"""Of a picture's AV1 stream; encoders write two or three."""
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6}  # bytes in front of their boxes
_EXIF_ITEM = re.compile(rb"(infe[\x02\x03]...(?:..|....)..)Exif", re.DOTALL)


def heif_brand(data: bytes) -> str | None:
    """AVIF, HEIF or None, by the brands of the file."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    for name, known in (("AVIF", AVIF_BRANDS), ("HEIF", HEIC_BRANDS)):
        if any(brand in known for brand in brands):
            return name
    return None


def largest_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height of the largest picture that a file holds, as its boxes or AV1 say.

    Raises:
        ImageError: No such file, or all its pictures together have more than twice the pixels: a
            picture and its transparency are two, its tiles are decoded one after another.
    """
    sizes = _Sizes(data)
    try:
        described, coded = list(sizes.described()), list(sizes.coded())
    except (struct.error, IndexError) as error:
        raise damaged() from error
    if not described:
        raise ImageError("image_invalid", "a file without a picture")
    if sum(width * height for width, height in coded) > 2 * max_pixels:
        raise too_large(max_pixels)
    return max(described + coded, key=lambda size: size[0] * size[1])


def still_picture(data: bytes) -> bytes:
    """Return an AVIF file without its animation and EXIF, which a reader would unfold.

    The orientation of AVIF is in its boxes; that of EXIF does not count.
    """
    size = int.from_bytes(data[:4], "big")
    brands = data[:size].replace(b"avis", b"avif")
    rest = _EXIF_ITEM.sub(rb"\1free", data[size : 1 << 20]) + data[max(size, 1 << 20) :]
    whole = bytearray(brands + rest)
    for kind, start, _ in _boxes(data, 0, len(data), [MAX_BOXES]):
        if kind == b"moov":
            whole[start - 4 : start] = b"free"
    return bytes(whole)


class _Sizes:
    """Every size that one file mentions."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = [MAX_BOXES]
        self._av1: set[int] = set()  # items of that kind
        self._places: list[tuple[int, int, int, int]] = []  # item, method, start, size
        self._inline = len(data)  # where the data inside the description begins

    def described(self) -> Iterator[tuple[int, int]]:
        """Sizes in the boxes, which are walked through on the way."""
        return self._within(0, len(self._data))

    def coded(self) -> Iterator[tuple[int, int]]:
        """Sizes in the streams that the boxes pointed to."""
        for item, method, start, size in self._places:
            if item not in self._av1:
                continue
            if method > 1:
                raise ImageError("image_invalid", "a picture made of parts of others")
            start += self._inline if method else 0
            sizes = list(av1_sizes(self._data[start : start + size if size else None]))
            if not sizes:
                raise damaged()
            yield from sizes

    def _within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        for kind, body, last in _boxes(self._data, start, end, self._left):
            if kind in _CONTAINERS:
                yield from self._within(body + _CONTAINERS[kind], last)
            elif kind == b"ispe":
                yield struct.unpack_from(">II", self._data, body + 4)
            elif kind == b"infe":
                self._item(body)
            elif kind == b"iloc":
                self._locations(body)
            elif kind == b"idat":
                self._inline = body

    def _item(self, body: int) -> None:
        wide = self._data[body] >= 3
        (number,) = struct.unpack_from(">I" if wide else ">H", self._data, body + 4)
        at = body + (10 if wide else 8)
        if self._data[at : at + 4] == b"av01":
            self._av1.add(number)

    def _locations(self, body: int) -> None:
        version = self._data[body]
        offset, length = divmod(self._data[body + 4], 16)
        base, index = divmod(self._data[body + 5], 16)
        reader = _Fields(self._data, body + 6)
        for _ in range(reader.number(4 if version == 2 else 2)):
            item = reader.number(4 if version == 2 else 2)
            method = reader.number(2) & 15 if version else 0
            reader.number(2)
            first = reader.number(base)
            for _ in range(reader.number(2)):
                self._left[0] -= 1
                if self._left[0] < 0:
                    raise too_many_pieces()
                if version:
                    reader.number(index)
                start, size = first + reader.number(offset), reader.number(length)
                self._places.append((item, method, start, size))


class _Fields:
    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def number(self, size: int) -> int:
        if self._at + size > len(self._data):
            raise damaged()
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")


def _boxes(data: bytes, start: int, end: int, left: list[int]) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the bodies of boxes one after another."""
    while end - start >= 8:
        left[0] -= 1
        if left[0] < 0:
            raise too_many_pieces()
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif size == 0:
            size = end - start
        if size < body - start:
            raise damaged()
        yield kind, body, min(start + size, end)
        start += size


def av1_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Sizes in the sequence headers of an AV1 stream."""
    at = 0
    for _ in range(MAX_UNITS):
        if at + 1 >= len(data):
            return
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size, used = _leb128(data, at)
            at += used
        if header >> 3 & 15 == 1:
            yield _sequence_size(_Bits(data[at : at + size]))
        at += size
    raise too_many_pieces()


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + 8]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, place + 1
    raise damaged()


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:64], "big")
        self._left = 8 * len(data[:64])

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise damaged()
        return self._value >> self._left & (1 << count) - 1


def _sequence_size(bits: _Bits) -> tuple[int, int]:
    bits.take(4)
    if bits.take(1):  # of a still picture alone
        bits.take(5)
    else:
        _skip_operating_points(bits)
    lengths = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(lengths[0]) + 1, bits.take(lengths[1]) + 1


def _skip_operating_points(bits: _Bits) -> None:
    delay = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            while not bits.take(1):  # the rest of a variable-length number is below
                delay += 1
            bits.take(delay)
            delay = 0
        if bits.take(1):
            delay = bits.take(5) + 1
            bits.take(42)
    shown = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if shown and bits.take(1):
            bits.take(4)
