"""Every decoder with every kind of file at extreme sides: what a small file can cost is bounded."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest
from clips.sampling import Sampling, sample_clip
from pictures.decoding import FORMATS, decode
from PIL import Image

from tests.support.clips import encode, flat
from tests.support.measured import Cost, measured
from tests.support.odd_pictures import many_scans, raw_png, rle_bmp, saved, scene, with_size

MAX_PIXELS = 2**26
SIDES = ((1, 2**26), (2**26, 1), (65_535, 1024), (8192, 8192), (65_535, 65_535),
         (2**31 - 1, 2**31 - 1), (3, 40_000), (40_000, 3))  # fmt: skip
SECONDS = 4.0
"""The largest allowed picture takes one to two; a busy machine more."""
MEMORY = 1200 << 20
"""An animated WebP of 64 megapixels: its decoder keeps two canvases, and Pillow two pictures."""


def bmp(width: int, height: int, bits: int, compression: int, rest: bytes) -> bytes:
    colours = b"\0\1\2\0" * (1 << bits) if bits <= 8 else b""
    start = 54 + len(colours)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start, 0, 0, start) + header + colours + rest


def gif(width: int, height: int) -> bytes:
    size = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    frame = b"," + bytes(4) + size + b"\0" + b"\x02\x02\x4c\x01\0"
    return b"GIF89a" + size + b"\x80\0\0" + bytes(6) + frame + b";"


def with_ispe(avif: bytes, width: int, height: int) -> bytes:
    at = avif.index(b"ispe") + 8
    return avif[:at] + struct.pack(">II", width, height) + avif[at + 8 :]


def with_canvas(webp: bytes, width: int, height: int) -> bytes:
    at = webp.index(b"VP8X") + 12
    sides = ((side - 1 & 0xFFFFFF).to_bytes(3, "little") for side in (width, height))
    return webp[:at] + b"".join(sides) + webp[at + 6 :]


def files_of(width: int, height: int) -> list[tuple[str, bytes]]:
    small = scene(64, 48)
    runs = random.Random(width).randbytes(20_000)
    jpegs = {
        "jpeg": saved(small, "JPEG"),
        "jpeg grey": saved(small.convert("L"), "JPEG"),
        "jpeg progressive": saved(small, "JPEG", progressive=True),
        "jpeg of scans": many_scans(saved(small, "JPEG", progressive=True), 60),
        "jpeg cmyk": saved(small.convert("CMYK"), "JPEG"),
        "jpeg without an end": saved(small, "JPEG")[:-2],
    }
    sides = width & 0xFFFF or 1, height & 0xFFFF or 1
    found = [(name, with_size(data, *sides)) for name, data in jpegs.items()]
    for kind, depth in ((0, 1), (0, 16), (2, 8), (2, 16), (3, 4), (4, 8), (6, 8), (6, 16)):
        for interlaced in (False, True):
            data = raw_png(
                width, height, kind=kind, depth=depth, interlaced=interlaced, rows=bytes(2 << 20)
            )
            found.append((f"png {kind} {depth} {interlaced}", data))
    for bits in (1, 4, 8, 16, 24, 32):
        found.append((f"bmp {bits}", bmp(width & 2**31 - 1, height & 2**31 - 1, bits, 0, runs)))
    for content in (runs, b"\0\0" * 10_000, b"\0\2\xff\xff" * 5000, b"\1\1" * 10_000):
        found.append(("bmp rle8", rle_bmp(width & 2**31 - 1, height & 2**31 - 1, content)))
        found.append(("bmp rle4", bmp(width & 2**31 - 1, height & 2**31 - 1, 4, 2, content)))
    found.append(("gif", gif(width, height)))
    found.append(("avif", with_ispe(saved(small, "AVIF"), width, height)))
    moving = saved(small, "WEBP", save_all=True, append_images=[Image.new("RGB", small.size)])
    found.append(("webp animation", with_canvas(moving, width, height)))
    return found


def costs(files: list[tuple[str, bytes]], read: Callable[[bytes], object]) -> dict[str, Cost]:
    return {
        f"{place} {name}": measured(lambda data=data: str(type(read(data))), memory=2 << 30)
        for place, (name, data) in enumerate(files)
    }


@pytest.mark.parametrize("sides", SIDES)
def test_what_a_file_can_cost(sides: tuple[int, int]) -> None:
    files = files_of(*sides)
    assert {name.split()[0].upper() for name, _ in files} == set(FORMATS) - {"HEIF"}
    for name, cost in costs(files, lambda data: decode(data, MAX_PIXELS, srgb=True)).items():
        assert cost.seconds < SECONDS, name
        assert cost.grown < MEMORY, name
        says = name.split()[1] not in ("jpeg", "gif")  # sides of more than 65,535
        if says and (sides[0] * sides[1] > MAX_PIXELS or max(sides) > 65_535):
            assert str(cost.answer).startswith("image_"), name
            assert cost.seconds < 0.5, name


@pytest.mark.parametrize("seed", range(8))
def test_spoilt_files(seed: int) -> None:
    rng = random.Random(seed)
    files = []
    for name, data in files_of(64, 48):
        spoilt = bytearray(data)
        for _ in range(rng.randint(1, 12)):
            spoilt[rng.randrange(min(len(spoilt), 400))] = rng.randrange(256)
        files.append((name, bytes(spoilt)))
    for name, cost in costs(files, lambda data: decode(data, MAX_PIXELS, srgb=True)).items():
        assert cost.seconds < SECONDS, name
        assert cost.grown < MEMORY, name
        assert str(cost.answer).startswith(("image_", "<class")), (name, cost.answer)


@pytest.mark.parametrize("seed", range(6))
def test_spoilt_clips(seed: int) -> None:
    rng = random.Random(seed)
    files = []
    for container, codec in (("mp4", "libx264"), ("mov", "libx264"), ("webm", "libvpx"),
                             ("webm", "libvpx-vp9"), ("mp4", "libsvtav1")):  # fmt: skip
        data = encode(flat(90, count=12), codec=codec, container=container, gop=4)
        for _ in range(6):
            spoilt = bytearray(data)
            for _ in range(rng.randint(1, 10)):
                spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
            files.append((f"{container} {codec}", bytes(spoilt)))
    for name, cost in costs(files, lambda data: sample_clip(data, Sampling())).items():
        assert cost.seconds < SECONDS, name
        assert cost.grown < MEMORY, name
        assert str(cost.answer).startswith(("clip_", "<class")), (name, cost.answer)
