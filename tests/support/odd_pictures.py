"""Pictures as cameras, phones, shops and attackers make them, written here."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image

from tests.support.icc_profiles import bomb_profile


def scene(width: int = 96, height: int = 80) -> Image.Image:
    """A smooth picture that looks different whichever way it is turned."""
    across, down = np.meshgrid(np.linspace(0, 230, width), np.linspace(20, 250, height))
    pixels = np.stack([across, down, 255 - across / 2 - down / 2], axis=2).astype(np.uint8)
    pixels[: height // 4, : width // 4] = (200, 60, 40)
    return Image.fromarray(pixels)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A file of the picture, in one of Pillow's formats."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd options
        picture.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG."""
    right = zlib.crc32(kind + body)
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", right if checksum is None else checksum)
    )


def with_chunk(png: bytes, extra: bytes) -> bytes:
    """A PNG with another chunk behind its header."""
    return png[:33] + extra + png[33:]


def raw_png(
    width: int, height: int, *, kind: int = 2, depth: int = 8, interlaced: bool = False,
    rows: bytes = b"",
) -> bytes:  # fmt: skip
    """A PNG of given rows (with their filter bytes), or of black ones."""
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind] * depth
    rows = rows or bytes(height * (1 + (width * bits + 7) // 8) + 64 * height)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(range(48))) if kind == 3 else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def interlaced(picture: Image.Image) -> bytes:
    """A PNG by Adam7, which Pillow does not write."""
    pixels = np.asarray(picture.convert("RGB"))
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1))  # fmt: skip
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, down, left, across in passes
        for row in pixels[top::down, left::across]
        if row.size
    )
    return raw_png(*picture.size, interlaced=True, rows=rows)


def sixteen_bits(picture: Image.Image) -> bytes:
    """A PNG of 16-bit colours."""
    wide = np.asarray(picture.convert("RGB")).astype(np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    return raw_png(*picture.size, depth=16, rows=rows)


def rle_bmp(width: int, height: int, runs: bytes) -> bytes:
    """A BMP of run lengths in 256 greens."""
    palette = b"".join(bytes([0, n, 0, 0]) for n in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    size = start + len(runs)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, start) + header + palette + runs


def with_segment(jpeg: bytes, segment: bytes) -> bytes:
    """A JPEG with other bytes behind its start mark."""
    return jpeg[:2] + segment + jpeg[2:]


def many_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times more."""
    start = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[start:-2] * count + jpeg[-2:]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header tells another size."""
    at = max(jpeg.find(b"\xff" + bytes([mark])) for mark in (0xC0, 0xC2)) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def exif_bomb() -> bytes:
    """EXIF in which thousands of entries point to the same hundred kilobytes."""
    count = 5000
    entries = b"".join(
        struct.pack("<HHII", 1000 + number, 2, 100_000, 8) for number in range(count)
    )
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", count) + entries + bytes(100_000)


def modest_avif(width: int, height: int) -> bytes:
    """An AVIF file whose boxes tell a smaller picture than its stream has."""
    data = saved(Image.new("RGB", (width, height)), "AVIF", speed=10)
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", 64, 48) + data[place + 8 :]


def bombs() -> dict[str, bytes]:
    """Small files that ask for minutes or gigabytes."""
    small = scene(64, 48)
    progressive = saved(small, "JPEG", progressive=True)
    zeros = zlib.compress(bytes(64 << 20), 6)
    ispe = saved(small, "AVIF")
    place = ispe.index(b"ispe") + 8
    vp8x = b"WEBPVP8X" + struct.pack("<II", 10, 2) + b"\xff\xff\xff" + b"\x02\0\0ANIM" + bytes(10)
    return {
        "bmp rle of one row": rle_bmp(2**26, 1, b"\0\0\0\1"),
        "bmp rle of one column": rle_bmp(1, 2**26, b"\0\0" * 20),
        "bmp rle, sides allowed": rle_bmp(8192, 8192, b"\0\0" * 20),
        "bmp of one column": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 1, 2**26, 1, 24, 0, 0, 0, 0, 0, 0),
        "png of one column": raw_png(1, 2**26, kind=0, depth=1, rows=bytes(1000)),
        "png of one row": raw_png(2**26, 1, kind=0, depth=1, rows=bytes(1000)),
        "png of one column, interlaced": raw_png(
            1, 2**26, kind=0, interlaced=True, rows=bytes(99)
        ),
        "png of 16 bits": raw_png(2**15, 2**13, kind=6, depth=16, rows=b"\0" * 99),
        "webp of few rows": b"RIFF" + struct.pack("<I", len(vp8x)) + vp8x,
        "jpeg of 90 scans": with_size(many_scans(progressive, 80), 8192, 8192),
        "jpeg of 5000 scans": many_scans(progressive, 5000),
        "jpeg beyond the limit": with_size(progressive, 65_500, 65_500),
        "avif box": ispe[:place] + struct.pack(">II", 2**16, 2**16) + ispe[place + 8 :],
        "gif canvas": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + struct.pack(
            "<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\0;",
        "png text": with_chunk(saved(small, "PNG"), chunk(b"zTXt", b"a\0\0" + zeros)),
        "png profile": with_chunk(saved(small, "PNG"), chunk(b"iCCP", b"a\0\0" + zeros)),
        "png international text": with_chunk(
            saved(small, "PNG"), chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)
        ),
        "png exif": with_chunk(saved(small, "PNG"), chunk(b"eXIf", exif_bomb())),
        "webp exif": saved(small, "WEBP", exif=exif_bomb()),
        "avif exif": saved(small, "AVIF", exif=exif_bomb()),
        "jpeg profile": saved(small.convert("CMYK"), "JPEG", icc_profile=bomb_profile()),
        "jpeg grey profile": saved(small.convert("L"), "JPEG", icc_profile=bomb_profile()),
        "animated webp": saved(
            Image.new("RGB", (4000, 2000)), "WEBP", save_all=True, lossless=True, method=0,
            append_images=[Image.new("RGB", (4000, 2000), (n, 0, 0)) for n in range(3)],
        ),
    }  # fmt: skip
