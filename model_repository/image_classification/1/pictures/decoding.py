"""Encoded picture files → RGB pixels: bounded, and with one clear code for each kind of bad file.

Pillow and numpy only, no Triton. Every model that reads pictures uses the same modules (links).
"""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import AvifImagePlugin, Image

from pictures.colours import to_srgb
from pictures.errors import ImageError, damaged, too_large, too_many_pieces
from pictures.exif_orientation import exif_orientation
from pictures.heif_file import heif_brand, largest_size, still_picture
from pictures.jpeg_file import START, read_jpeg
from pictures.png_file import SIGNATURE, read_png

try:  # the extra `heic`
    import pi_heif
except ImportError:
    HEIC = False
else:
    pi_heif.register_heif_opener(thumbnails=False)
    HEIC = True

__all__ = ["FORMATS", "ImageError", "Picture", "decode", "is_large", "open_picture"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", *(("HEIF",) if HEIC else ()))
"""Pillow's names; every other decoder stays out of reach of strangers' bytes."""

MAX_SIDE = 65_535
"""Pixels of the longer side, the most that a JPEG can have. Decoders keep something for each row:
a PNG of 1 x 67,108,864 took 1.35 GiB."""

LARGE_PIXELS = 2**23
"""Larger pictures (8 megapixels) are decoded one at a time, which bounds the memory they need."""

MAX_RLE_PIXELS = 2**21
"""Of a BMP with run lengths, whose decoder is Python: half a second for 2 megapixels."""
RLE_WEIGHT = 32

ORDINARY_SCANS = 12
"""Of a progressive JPEG."""

MAX_READS = 100_000
"""Pieces a file may be read in, and one more for every 512 bytes. Pillow's header loops are Python:
a GIF of comments had 50 MB read byte by byte, seconds of a core. Files of ordinary encoders need a
hundredth of this."""

_RLE = (1, 2)  # biCompression
_one_large = threading.Lock()

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # pictures are decoded side by side
warnings.filterwarnings("ignore", module="PIL")  # about odd files, to nobody in particular


@dataclass(frozen=True)
class Picture:
    """A picture whose header is read and allowed; nothing is decoded yet.

    Attributes:
        image: Opened.
        orientation: Of EXIF, 1 to 8.
        profile: ICC profile.
        other_end: The file with another end, where its own is missing.
        weight: How many times its pixels take as long to decode as those of another picture.
    """

    image: Image.Image
    orientation: int
    profile: bytes | None
    other_end: bytes | None = None
    weight: int = 1

    @property
    def is_large(self) -> bool:
        """Whether it takes long or much memory."""
        return self.image.width * self.image.height * self.weight > LARGE_PIXELS

    def decode(self, *, srgb: bool = False, alpha: bool = False) -> Image.Image:
        """Return the picture, the first one of an animation, upright; once only.

        Args:
            srgb: Whether a colour profile is followed. Without, the numbers of the file come back
                as torchvision's users read them.
            alpha: Whether transparency is kept.

        Returns:
            Mode RGB, or RGBA where transparency is kept and there is any. CMYK and palettes are
            converted, transparency is dropped (both as Pillow's `convert("RGB")` does, which is
            what torchvision's users call) and the upper 8 of 16 bits are kept.

        Raises:
            ImageError: `image_truncated`.
        """
        with self.image, _one_large if self.is_large else nullcontext():
            try:
                self.image.load()
                self._check_end()
                shown = _converted(self.image, self.profile if srgb else None, alpha)
            except ImageError:
                raise
            except Exception as error:  # a decoder may raise anything
                raise damaged() from error
        turn = _TURNS.get(self.orientation)
        return shown.transpose(turn) if turn is not None else shown

    def _check_end(self) -> None:
        if self.other_end is None:
            return
        with Image.open(io.BytesIO(self.other_end), formats=("JPEG",)) as other:
            for top in range(0, other.height, 256):
                strip = (0, top, other.width, min(top + 256, other.height))
                if other.crop(strip).tobytes() != self.image.crop(strip).tobytes():
                    raise damaged()


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the value of its EXIF orientation (EXIF 2.32, tag 0x0112)."""


def decode(data: bytes, max_pixels: int, *, srgb: bool = False, alpha: bool = False) -> Image.Image:
    """`open_picture` and `Picture.decode` in one."""
    return open_picture(data, max_pixels).decode(srgb=srgb, alpha=alpha)


def is_large(data: bytes, max_pixels: int) -> bool:
    """Whether a file is a picture that takes long to decode; by its header."""
    try:
        return open_picture(data, max_pixels).is_large
    except ImageError:
        return False


def open_picture(data: bytes, max_pixels: int, formats: tuple[str, ...] = FORMATS) -> Picture:
    """Read and check the header of a picture.

    Args:
        data: A JPEG, PNG, WebP, GIF, BMP or AVIF file; HEIC where its package is installed.
        max_pixels: Largest width x height.
        formats: Those of `FORMATS` that are wanted.

    Raises:
        ImageError: See its codes.
    """
    if not data:
        raise ImageError("image_empty", "the file has no bytes")
    try:
        return _opened(data, max_pixels, formats)
    except ImageError:
        raise
    except Exception as error:  # of headers that nobody has thought of
        raise damaged() from error


def _opened(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> Picture:
    if data.startswith(START) and "JPEG" in formats:
        return _open_jpeg(data, max_pixels)
    if data.startswith(SIGNATURE) and "PNG" in formats:
        png = read_png(data)
        _check_size(png.size, max_pixels)
        return Picture(_open(png.data, ("PNG",), max_pixels), png.orientation, png.profile)
    kind = heif_brand(data)
    if kind is not None and kind in formats:
        _check_size(largest_size(data, max_pixels), max_pixels)
        data = still_picture(data) if kind == "AVIF" else data
        image = _open(data, (kind,), max_pixels)
    else:
        _check_webp(data, max_pixels)
        plain = tuple(name for name in formats if name in ("WEBP", "GIF", "BMP"))
        image = _open(data, plain, max_pixels)
        if image.format == "BMP" and image.info.get("compression") in _RLE:
            _check_size(image.size, min(max_pixels, MAX_RLE_PIXELS))
            return Picture(image, 1, None, weight=RLE_WEIGHT)
    turned = exif_orientation(image.info.get("exif"))
    return Picture(image, turned, image.info.get("icc_profile"))


def _open_jpeg(data: bytes, max_pixels: int) -> Picture:
    jpeg = read_jpeg(data)
    _check_size(jpeg.size, max_pixels)
    file, *other = jpeg.whole_files()
    image = _open(file, ("JPEG",), max_pixels)
    return Picture(
        image,
        jpeg.orientation,
        jpeg.profile,
        other_end=other[0] if other else None,
        weight=1 + len(other) + jpeg.scans // ORDINARY_SCANS,
    )


def _open(data: bytes, formats: tuple[str, ...], max_pixels: int) -> Image.Image:
    """Return the picture with only its header read."""
    try:
        image = Image.open(Pieces(data), formats=formats)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(max_pixels) from error
    except Exception as error:
        raise ImageError("image_invalid", f"not one of {', '.join(FORMATS)}") from error
    _check_size(image.size, max_pixels)
    return image


class Pieces(io.BytesIO):
    """A file in memory that ends the reading when it comes in too many pieces."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MAX_READS + len(data) // 512

    def read(self, size: int | None = -1, /) -> bytes:
        """As BytesIO's; raises ImageError when it was called too often."""
        self._left -= 1
        if self._left < 0:
            raise too_many_pieces()
        return super().read(size)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise too_large(max_pixels)
    if max(size) > MAX_SIDE:
        raise ImageError("image_too_large", f"a side of more than {MAX_SIDE} pixels")


def _check_webp(data: bytes, max_pixels: int) -> None:
    """Pillow reads a WebP whole and reserves its canvas when it opens it: too late for these."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return
    if len(data) < int.from_bytes(data[4:8], "little") + 8:
        raise damaged()
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        _check_size((width, height), max_pixels)


def _converted(image: Image.Image, profile: bytes | None, alpha: bool) -> Image.Image:
    image = _eight_bits(image)
    clear = image.convert("RGBA").getchannel("A") if alpha and _is_clear(image) else None
    if image.mode in ("P", "RGBA", "1"):
        image = image.convert("RGB")
    elif image.mode == "LA":
        image = image.convert("L")
    shown = to_srgb(image, profile)
    shown = shown if shown.mode == "RGB" else shown.convert("RGB")
    if clear is not None:
        shown.putalpha(clear)
    return shown


def _is_clear(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    # Pillow's own conversion clips 16-bit grey to white.
    upper = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    return Image.fromarray(upper)
