"""Small files that would cost seconds or gigabytes are refused, or read, at once."""

from __future__ import annotations

import numpy as np
import pytest
from pictures.decoding import ImageError, decode, is_large, open_picture
from pictures.heif_file import av1_sizes, largest_size
from PIL import Image

from tests.support.measured import measured
from tests.support.odd_pictures import bombs, many_scans, modest_avif, rle_bmp, saved, scene

MAX_PIXELS = 2**26
REFUSED = (
    "bmp rle of one row", "bmp rle of one column", "bmp rle, sides allowed", "bmp of one column",
    "png of one column", "png of one row", "png of one column, interlaced", "png of 16 bits",
    "webp of few rows", "jpeg of 90 scans", "jpeg of 5000 scans", "jpeg beyond the limit",
    "avif box", "gif canvas",
)  # fmt: skip
READ = (
    "png text", "png profile", "png international text", "png exif", "webp exif", "avif exif",
    "jpeg profile", "jpeg grey profile", "animated webp",
)  # fmt: skip
"""Those that show a picture beside the bomb."""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return bombs()


def size_of(data: bytes) -> tuple[int, int]:
    return decode(data, MAX_PIXELS, srgb=True).size


@pytest.mark.parametrize("name", [*REFUSED, *READ])
def test_bombs(files: dict[str, bytes], name: str) -> None:
    assert set(files) == {*REFUSED, *READ}
    cost = measured(lambda: size_of(files[name]))
    if name in READ:
        assert cost.answer in ((64, 48), (4000, 2000))
    else:
        assert str(cost.answer).startswith(("image_too_large: ", "image_invalid: "))
    assert cost.seconds < (1 if name in READ else 0.5)
    assert cost.grown < 200 << 20


def test_an_avif_stream_larger_than_its_boxes_say() -> None:
    with pytest.raises(ImageError, match=r"^image_too_large: "):
        decode(modest_avif(2048, 1024), 2**20)


def test_sizes_in_av1_streams() -> None:
    whole = saved(Image.new("RGB", (64, 48)), "AVIF")
    stream = whole[whole.index(b"mdat") + 4 :]
    assert list(av1_sizes(stream)) == [(64, 48)]
    padding = bytes([15 << 3 | 2, 0x90, 0x4E]) + bytes(10_000)  # 10,000 in LEB128
    assert list(av1_sizes(padding + stream)) == [(64, 48)]
    with pytest.raises(ImageError, match=r"too many pieces"):
        list(av1_sizes(bytes([15 << 3 | 2, 0]) * 2000))


def test_avif_pictures_that_are_too_many_together() -> None:
    """Tiles of one picture, each as large as allowed, would be decoded one after another."""
    whole = saved(Image.new("RGB", (64, 48)), "AVIF")
    assert largest_size(whole, 64 * 48) == (64, 48)
    with pytest.raises(ImageError, match=r"^image_too_large: "):
        largest_size(whole, 64 * 48 // 2 - 1)
    at = whole.index(b"iloc")
    method = whole[:at] + b"iloc\2" + whole[at + 5 :]
    with pytest.raises(ImageError):
        largest_size(method, MAX_PIXELS)


def test_legal_pictures_of_extreme_sides() -> None:
    for kind, size in (("JPEG", (65_500, 16)), ("PNG", (16, 65_535)), ("WEBP", (16_383, 8))):
        assert decode(saved(Image.new("RGB", size), kind), MAX_PIXELS).size == size
    with pytest.raises(ImageError, match=r"^image_too_large: a side of more than 65535"):
        decode(saved(Image.new("1", (65_536, 1)), "PNG"), MAX_PIXELS)


def test_a_bmp_of_run_lengths() -> None:
    runs = b"".join(bytes([40, shade, 0, 0]) for shade in range(0, 250, 10)) + b"\0\1"
    got = np.asarray(decode(rle_bmp(40, 25, runs), MAX_PIXELS))
    assert got[::-1, 3, 1].tolist() == [*range(0, 250, 10)]
    assert got[..., (0, 2)].max() == 0


def test_a_progressive_jpeg_of_the_largest_size_is_allowed() -> None:
    data = saved(Image.new("L", (8192, 8192), 90), "JPEG", progressive=True)
    assert open_picture(data, MAX_PIXELS).image.size == (8192, 8192)


def test_what_takes_long_is_known_before() -> None:
    def large(data: bytes) -> bool:
        return is_large(data, MAX_PIXELS)

    plain = saved(Image.new("L", (2048, 2048)), "JPEG", progressive=True)
    assert not large(plain)
    assert large(many_scans(plain, 40))
    assert large(saved(Image.new("L", (4096, 2049)), "PNG"))
    assert large(rle_bmp(1024, 1024, b"\0\1"))
    assert not large(rle_bmp(100, 100, b"\0\1"))
    assert not large(saved(scene(), "AVIF"))
    assert not large(b"nothing")
