"""Files, sizes and limits."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import tryon_images as images
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tryon_errors import InputError

from tests.support.pictures import png_with_header
from tests.support.tryon_pictures import png

SIDES = st.integers(16, 6000)
LIMITS = (10**7, 5 * 10**7)


@given(SIDES, SIDES, st.sampled_from(("480p", "720p", "1080p")))
def test_the_shorter_side_is_the_preset(width: int, height: int, preset: str) -> None:
    made = images.person_size((width, height), preset, keep_aspect=True)
    short = images.PRESETS[preset]
    assert min(made) == short // 16 * 16
    assert all(side % 16 == 0 for side in made)
    exact = max(width, height) * short / min(width, height)
    assert -0.51 < exact - max(made) < 16.51  # rounded, then floored


@given(SIDES, SIDES)
def test_the_garment_fits_inside_the_person(width: int, height: int) -> None:
    made = images.garment_size((width, height), (720, 960))
    assert made[0] <= 720
    assert made[1] <= 960
    assert all(side % 16 == 0 and side >= 16 for side in made)
    assert made[0] > 720 - 17 or made[1] > 960 - 17


@pytest.mark.parametrize(
    ("size", "preset", "wanted"),
    [
        ((1080, 1440), "720p", (720, 960)),
        ((768, 1376), "720p", (720, 1280)),
        ((1000, 1000), "480p", (480, 480)),
        ((1600, 900), "1080p", (1920, 1072)),  # 1080 is no multiple of 16
    ],
)
def test_documented_sizes(size: tuple[int, int], preset: str, wanted: tuple[int, int]) -> None:
    assert images.person_size(size, preset, keep_aspect=True) == wanted
    assert images.person_size(size, "480p", keep_aspect=False) == (480, 640)


def test_exif_orientation_is_applied() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turned right
    Image.new("RGB", (40, 20), "red").save(file, "JPEG", exif=exif)
    assert images.decode(file.getvalue(), "person", *LIMITS).size == (20, 40)


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    found = images.decode(png(clear), "garment", *LIMITS)
    assert found.mode == "RGBA"
    assert images.flatten(found).getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"not a picture",
        png(Image.new("RGB", (64, 64)))[:60],
        png_with_header(64, 64),
        png_with_header(60000, 60000),
        png(Image.new("RGB", (15, 64))),
        png(Image.effect_noise((2000, 2000), 90)) * 2,
    ],
    ids=["empty", "text", "cut", "without pixels", "bomb", "tiny", "large"],
)
def test_bad_files_are_refused(file: bytes) -> None:
    with pytest.raises(InputError):
        images.decode(file, "person", 10**6, 10**6)


def test_a_file_of_very_many_pieces_is_refused() -> None:
    chunk = b"\0\0\0\0teXt" + zlib.crc32(b"teXt").to_bytes(4, "big")
    file = png(Image.new("RGB", (40, 40)))
    with pytest.raises(InputError, match="no readable PNG"):
        images.decode(file[:33] + 200_000 * chunk + file[33:], "person", 2**24, 10**6)


def test_gif_is_none_of_the_formats() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "GIF")
    with pytest.raises(InputError, match="no readable PNG, JPEG, WebP or AVIF"):
        images.decode(file.getvalue(), "person", *LIMITS)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_files_can_be_read_again(kind: str) -> None:
    ramp = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (1, 64, 3)))
    back = Image.open(io.BytesIO(images.encode(ramp, kind)))
    assert back.format == kind.upper()
    apart = np.abs(np.asarray(back.convert("RGB")).astype(int) - np.asarray(ramp))
    assert apart.max() <= (0 if kind == "png" else 12)
