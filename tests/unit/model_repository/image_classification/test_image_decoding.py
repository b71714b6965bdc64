"""Every kind of picture comes out as RGB, every kind of bad file with its code, in bounded time."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import decoding as image_decoding
from pictures.decoding import ImageError, decode
from PIL import Image

from tests.support.cpu_time import spent
from tests.support.pictures import png_with_header

LIMIT = 4_000_000
PICTURES = Path(__file__).resolve().parents[3] / "golden" / "pictures"


def pixels(width: int = 40, height: int = 30) -> np.ndarray:
    """A smooth picture, so that lossy formats keep it."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([across, down, 255 - across], axis=2).astype(np.uint8)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def code_of(data: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, limit)
    assert str(caught.value).startswith(caught.value.code + ": ")
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 6),
        ("GIF", {}, 60),  # 256 colours
    ],
)
def test_formats(kind: str, options: dict[str, object], error: int) -> None:
    got = decode(saved(Image.fromarray(pixels()), kind, **options), LIMIT)
    assert got.mode == "RGB"
    assert np.abs(np.asarray(got).astype(int) - pixels()).max() <= error


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_modes_are_converted_as_pillow_does(mode: str) -> None:
    picture = Image.fromarray(pixels()).convert(mode)
    data = saved(picture, "JPEG" if mode == "CMYK" else "PNG")
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(np.asarray(decode(data, LIMIT)), np.asarray(expected))


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    grey = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 77
    got = np.asarray(decode(saved(Image.fromarray(grey), "PNG"), LIMIT))
    np.testing.assert_array_equal(got[..., 0], np.arange(256).reshape(16, 16))
    np.testing.assert_array_equal(got[..., 0], got[..., 2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    upright = Image.fromarray(pixels())
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}, "PNG": {}}
    got = decode(saved(stored, kind, exif=exif, **options[kind]), LIMIT)
    assert got.size == upright.size
    assert np.abs(np.asarray(got).astype(int) - pixels()).max() <= 6


def test_damaged_exif_is_ignored() -> None:
    data = saved(Image.fromarray(pixels()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decode(data, LIMIT).size == (40, 30)


def test_an_animation_is_its_first_picture() -> None:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        red, green, _ = np.asarray(decode(data, LIMIT)).reshape(-1, 3).mean(axis=0)
        assert red > 240
        assert green < 15


def test_no_bytes() -> None:
    assert code_of(b"") == "image_empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"not a picture at all" * 50,
        b"%PDF-1.7\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF\x04\0\0\0WEBPVP8 ",
        b"\x89PNG\r\n\x1a\n",
        b"BM" + b"\0" * 60,
        saved(Image.new("RGB", (8, 8)), "TIFF"),  # a format that is not offered
        saved(Image.new("RGB", (8, 8)), "PPM"),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_no_picture(data: bytes) -> None:
    assert code_of(data) == "image_invalid"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_cut_files(kind: str) -> None:
    whole = saved(Image.fromarray(np.tile(pixels(), (4, 4, 1))), kind)
    assert code_of(whole[: len(whole) * 2 // 3]) == "image_truncated"


@settings(max_examples=150)
@given(st.data())
def test_damaged_files_are_refused_or_decoded_but_never_raise_anything_else(
    data: st.DataObject,
) -> None:
    file = data.draw(st.sampled_from(sorted(PICTURES.iterdir())))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, min(len(content) - 1, 2000)))] = data.draw(
            st.integers(0, 255)
        )
    with contextlib.suppress(ImageError):
        assert decode(bytes(content), LIMIT).mode == "RGB"


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 1), (100_000, 100_000)])
def test_headers_of_huge_pictures_are_refused_at_once(size: tuple[int, int]) -> None:
    with spent() as seconds:
        assert code_of(png_with_header(*size), 2**26) == "image_too_large"
    assert seconds[0] < 0.5


def test_webp_canvas_is_checked_before_it_is_reserved() -> None:
    side = (65_535).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 2) + side + side + b"ANIM" + b"\0" * 10
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    assert code_of(data, 2**26) == "image_too_large"


def test_the_limit_is_exact() -> None:
    data = saved(Image.new("RGB", (200, 100)), "PNG")
    assert decode(data, 20_000).size == (200, 100)
    assert code_of(data, 19_999) == "image_too_large"


def test_a_jpeg_of_many_scans_is_refused() -> None:
    progressive = saved(Image.fromarray(pixels()), "JPEG", progressive=True)
    start = progressive.rindex(b"\xff\xda")
    scan, end = progressive[start:-2], progressive[-2:]
    assert code_of(progressive[:start] + scan * 200 + end) == "image_invalid"


PIECES = {
    "jpeg of zeros": b"\xff\xd8\xff\xe0" + bytes(2_000_000),
    "jpeg of fill bytes": b"\xff" + b"\xd8" + b"\xff" * 2_000_000,
    "jpeg of empty segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 500_000,
    "png of empty chunks": png_with_header(10, 10)[:33]
    + (b"\0\0\0\0teXt" + struct.pack(">I", zlib.crc32(b"teXt"))) * 200_000,
    "gif of small comments": b"GIF89a"
    + struct.pack("<HHBBB", 10, 10, 0, 0, 0)
    + b"!\xfe"
    + b"\x01a" * 400_000,
}


@pytest.mark.parametrize("name", PIECES)
def test_files_of_very_many_pieces_are_refused(name: str) -> None:
    """Pillow read them byte by byte: three seconds of a core for 50 MB."""
    with pytest.raises(ImageError, match="image_invalid: the file consists of too many pieces"):
        decode(PIECES[name], LIMIT)


def test_ordinary_files_are_far_from_that_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoding, "MAX_READS", 1000)
    for file in sorted(PICTURES.iterdir()):
        assert decode(file.read_bytes(), LIMIT).mode == "RGB"


def test_large_pictures_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    class Lock:
        def __enter__(self) -> None:
            taken.append(True)

        def __exit__(self, *_: object) -> None:
            taken.append(False)

    monkeypatch.setattr(image_decoding, "_one_large", Lock())
    monkeypatch.setattr(image_decoding, "LARGE_PIXELS", 1200)
    decode(saved(Image.fromarray(pixels(40, 30)), "PNG"), LIMIT)
    assert taken == []
    decode(saved(Image.fromarray(pixels(41, 30)), "PNG"), LIMIT)
    assert taken == [True, False]
