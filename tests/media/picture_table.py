"""Pictures as people have them, and what each service must answer."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps

from tests.support.icc_profiles import ADOBE_RGB, DISPLAY_P3, cmyk_profile, rgb_profile
from tests.support.odd_pictures import (
    chunk,
    interlaced,
    raw_png,
    rle_bmp,
    saved,
    scene,
    sixteen_bits,
    with_chunk,
    with_segment,
)

EVERYWHERE = ("vision", "faces", "emotions", "tryon")
NOT_TRYON = ("vision", "faces", "emotions")
ROUNDED, LOSSY = 16, 40  # in dark colours one level of Adobe RGB is several of sRGB


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        data: The file.
        shown: What a browser shows, RGB; None where it is refused.
        apart: Levels of 255 by which a pixel may differ from `shown`; a tenth of it on average.
        services: That read it; the others refuse it as a format that is not theirs.
        code: Of the refusal, where `shown` is None.
        by_numbers: Of `vision`, which follows no profile, where it differs from `shown`.
    """

    data: bytes
    shown: Image.Image | None
    apart: int = 0
    services: tuple[str, ...] = EVERYWHERE
    code: str = ""
    by_numbers: Image.Image | None = None


def cases() -> dict[str, Case]:
    """All of them by name."""
    return dict([*_jpegs(), *_pngs(), *_others(), *_coloured(), *_refused()])


def _read(data: bytes) -> Image.Image:
    """As Pillow does, upright."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def _jpegs() -> Iterator[tuple[str, Case]]:
    picture = scene()
    plain = saved(picture, "JPEG", quality=90)
    shown = _read(plain)
    restarts = saved(picture, "JPEG", restart_marker_blocks=2)
    progressive = saved(picture, "JPEG", progressive=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    same = {
        "jpeg": plain,
        "jpeg: stray bytes before a segment": with_segment(plain, b"stray \x00\xff\x00 bytes"),
        "jpeg: fill bytes": with_segment(plain, b"\xff" * 40),
        "jpeg: a marker that stands alone": with_segment(plain, b"\xff\x01\xff\xd3"),
        "jpeg: a segment longer than it says": with_segment(
            plain, b"\xff\xe4\x00\x06abcdefgh" + bytes(300)
        ),
        "jpeg: a segment that does not count itself": with_segment(plain, b"\xff\xe5\x00\x00"),
        "jpeg: a short JFIF": with_segment(plain, b"\xff\xe0\x00\x07JFIF\0"),
        "jpeg: a short Adobe": with_segment(plain, b"\xff\xee\x00\x07Adobe"),
        "jpeg: broken EXIF": with_segment(plain, b"\xff\xe1\x00\x10Exif\0\0MM\0*\xff\xff\xff\xff"),
        "jpeg: half a profile": with_segment(plain, b"\xff\xe2\x00\x14ICC_PROFILE\0\x01\x02abcd"),
        "jpeg: a comment of marks": with_segment(plain, b"\xff\xfe\x00\x06\xff\xda\xff\xd9"),
        "jpeg: something behind it": plain + b"\0\0trailing" * 50,
        "jpeg: another one behind it": plain + saved(Image.new("RGB", (8, 8)), "JPEG"),
        "jpeg: no end mark": plain[:-2],
        "jpeg: half an end mark": plain[:-1],
        "jpeg: zeros in place of the end mark": plain[:-2] + bytes(600),
    }
    for name, data in same.items():
        yield name, Case(data, shown)
    for name, data in {"with restarts": restarts, "progressive": progressive}.items():
        yield f"jpeg {name}", Case(data, _read(data))
        yield f"jpeg {name}: no end mark", Case(data[:-2], _read(data))
    two = saved(picture, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    yield "jpeg: a portrait of two", Case(two, _read(two))
    grey = saved(picture.convert("L"), "JPEG")
    yield "jpeg: grey", Case(grey, _read(grey))
    data = saved(turned, "JPEG", exif=exif)
    yield "jpeg: turned", Case(data, _read(data))
    cut = {"half": plain[: len(plain) // 2], "almost whole": plain[:-60],
           "between restarts": restarts[: restarts.rindex(b"\xff\xd3")],
           "without its last scan": progressive[: progressive.rindex(b"\xff\xda")],
           "with a scan cut": progressive[:-40]}  # fmt: skip
    for name, data in cut.items():
        yield f"jpeg {name}", Case(data, None, code="image_truncated")


def _pngs() -> Iterator[tuple[str, Case]]:
    picture = scene()
    plain = saved(picture, "PNG")
    noise = np.random.default_rng(0).integers(0, 256, 2 << 20, np.uint8).tobytes()
    wrong = chunk(b"tEXt", b"a\0b", checksum=1)
    same = {
        "png": plain,
        "png: interlaced": interlaced(picture),
        "png: 16 bits": sixteen_bits(picture),
        "png: a large profile": with_chunk(plain, chunk(b"iCCP", b"a\0\0" + zlib.compress(noise))),
        "png: a profile that is none": with_chunk(plain, chunk(b"iCCP", b"a\0\0broken")),
        "png: a wrong checksum of a text": with_chunk(plain, wrong),
        "png: a wrong checksum of a profile": with_chunk(plain, chunk(b"iCCP", b"a\0\0b", 5)),
        "png: a wrong checksum of the time": with_chunk(plain, chunk(b"tIME", bytes(7), 5)),
        "png: an unknown chunk": with_chunk(plain, chunk(b"prVt", b"anything", 9)),
        "png: a text larger than a megabyte": with_chunk(
            plain, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3 << 20)))
        ),
        "png: something behind it": plain + b"trailing" * 99,
        "png: no end": plain[:-12],
        "png: an animation": saved(
            picture, "PNG", save_all=True, append_images=[Image.new("RGB", picture.size)] * 2
        ),
    }
    for name, data in same.items():
        yield name, Case(data, picture)
    levels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    upper = Image.fromarray((levels >> 8).astype(np.uint8))
    yield "png: 16-bit grey", Case(saved(Image.fromarray(levels), "PNG"), upper)
    both = np.stack([levels, np.full_like(levels, 65535)], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in both)
    yield "png: 16-bit grey, opaque", Case(raw_png(64, 64, kind=4, depth=16, rows=rows), upper)
    for mode in ("1", "L", "P"):
        data = saved(picture.convert(mode), "PNG")
        yield f"png: {mode}", Case(data, _read(data))
    at = plain.index(b"IDAT") + 10
    spoilt = plain[:at] + bytes([plain[at] ^ 255]) + plain[at + 1 :]
    end = plain.index(b"IEND") - 8
    wrong_sum = plain[:end] + bytes(4) + plain[end + 4 :]
    yield "png: a wrong checksum of pixels", Case(wrong_sum, picture)
    yield "png: a wrong pixel", Case(spoilt, None, code="image_truncated")
    yield "png half", Case(plain[: len(plain) // 2], None, code="image_truncated")


def _others() -> Iterator[tuple[str, Case]]:
    picture = scene()
    yield "webp", Case(saved(picture, "WEBP", lossless=True), picture)
    lossy = saved(picture, "WEBP")
    yield "webp, lossy", Case(lossy, _read(lossy))
    yield "webp: something behind it", Case(lossy + b"trailing", _read(lossy))
    avif = saved(picture, "AVIF", quality=90)
    yield "avif", Case(avif, _read(avif))
    full = saved(picture, "AVIF", subsampling="4:4:4")
    yield "avif: 4:4:4", Case(full, _read(full))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(picture.transpose(Image.Transpose.ROTATE_90), "AVIF", quality=95, exif=exif)
    yield "avif: turned", Case(turned, _read(turned))
    moving = saved(picture, "AVIF", save_all=True, append_images=[Image.new("RGB", (96, 80))] * 2)
    yield "avif: an animation", Case(moving, _read(moving))
    gif = saved(picture, "GIF")
    yield "gif", Case(gif, _read(gif), services=NOT_TRYON)
    yield "bmp", Case(saved(picture, "BMP"), picture, services=NOT_TRYON)
    runs = b"".join(bytes([40, shade, 0, 0]) for shade in range(200, 0, -10)) + b"\0\1"
    greens = np.zeros((20, 40, 3), np.uint8)
    greens[..., 1] = np.arange(10, 210, 10)[:, None]
    yield (
        "bmp of run lengths",
        Case(rle_bmp(40, 20, runs), Image.fromarray(greens), services=NOT_TRYON),
    )


def _coloured() -> Iterator[tuple[str, Case]]:
    picture = scene()
    srgb = ImageCms.createProfile("sRGB")
    for name, profile in (
        ("Display P3", rgb_profile(DISPLAY_P3)),
        ("Adobe RGB", rgb_profile(ADOBE_RGB, 563 / 256)),
    ):
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        numbers = ImageCms.profileToProfile(picture, srgb, space, outputMode="RGB")
        for kind, options, apart in (
            ("PNG", {}, ROUNDED), ("WEBP", {"lossless": True}, ROUNDED),
            ("JPEG", {"quality": 98, "subsampling": 0}, LOSSY),
            ("AVIF", {"quality": 98, "subsampling": "4:4:4"}, LOSSY),
        ):  # fmt: skip
            data = saved(numbers, kind, icc_profile=profile, **options)
            plain = Image.open(io.BytesIO(data)).convert("RGB")
            yield f"{kind.lower()} in {name}", Case(data, picture, apart, by_numbers=plain)
    inks = Image.eval(picture, lambda level: 255 - level)
    cmyk = Image.merge("CMYK", (*inks.split(), Image.new("L", picture.size)))
    data = saved(cmyk, "JPEG", quality=98, icc_profile=cmyk_profile())
    space = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile()))
    shown = ImageCms.profileToProfile(
        Image.open(io.BytesIO(data)), space, srgb, outputMode="RGB", renderingIntent=1,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )  # fmt: skip
    plain = Image.open(io.BytesIO(data)).convert("RGB")
    yield "jpeg in CMYK with a profile", Case(data, shown, 2, by_numbers=plain)
    bare = saved(cmyk, "JPEG", quality=98)
    yield "jpeg in CMYK", Case(bare, _read(bare))


def _refused() -> Iterator[tuple[str, Case]]:
    picture = scene()
    for kind in ("TIFF", "PPM", "ICO", "JPEG2000"):
        yield kind.lower(), Case(saved(picture, kind), None, code="image_invalid")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)
    yield "heic without a picture", Case(heic, None, code="image_invalid")
    yield "avif without a picture", Case(heic.replace(b"heic", b"avif"), None, code="image_invalid")
    yield "text", Case(b"no picture at all " * 20, None, code="image_invalid")
    yield "nothing", Case(b"", None, code="image_empty")
