"""Encoded picture files → RGB pixels: bounded, and with one clear code for each kind of bad file.

Pillow and numpy only, no Triton. `face_enrollment` and `tryon` use the same module (link).
"""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext

import numpy as np
from PIL import ExifTags, Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""Pillow's names; every other decoder stays out of reach of strangers' bytes."""

MAX_SCANS = 100
"""Of a progressive JPEG; encoders write about ten. Each one walks through the whole picture, so a
small file of thousands would keep a core busy for minutes."""

LARGE_PIXELS = 2**23
"""Larger pictures (8 megapixels) are decoded one at a time, which bounds the memory they need."""

MAX_READS = 100_000
"""Pieces a file may be read in, and one more for every 512 bytes. Pillow's header loops are Python:
a JPEG of filler or a PNG of empty chunks had 50 MB read byte by byte, seconds of a core. Files of
ordinary encoders need a hundredth of this."""

_SCAN_MARKER = b"\xff\xda"  # cannot occur inside entropy-coded data, where 0 follows every 0xff
_one_large = threading.Lock()

warnings.filterwarnings("ignore", module="PIL")  # about odd files, to nobody in particular


class ImageError(ValueError):
    """A picture that cannot be used; the text is `code: reason` and may go to its sender.

    Attributes:
        code: image_empty, image_invalid, image_truncated or image_too_large.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Decodes a picture, the first one of an animation, upright.

    Args:
        data: A JPEG, PNG, WebP, BMP or GIF file.
        max_pixels: Largest width x height; checked in the header, before any decoding.

    Returns:
        Mode RGB. CMYK and palettes are converted, transparency is dropped (both as Pillow's
        `convert("RGB")` does, which is what torchvision's users call), the upper 8 of 16 bits
        are kept, and the EXIF orientation is applied.

    Raises:
        ImageError: See its codes.
    """
    image = _open(data, max_pixels)
    large = image.width * image.height > LARGE_PIXELS
    with image, _one_large if large else nullcontext():
        try:
            image.load()
            rgb = _rgb(image)
        except ImageError:
            raise
        except Exception as error:  # a decoder may raise anything
            raise _damaged() from error
        turn = _TURNS.get(_orientation(image))
        return rgb.transpose(turn) if turn is not None else rgb


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


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """The picture with only its header read."""
    if not data:
        raise ImageError("image_empty", "the file has no bytes")
    _check_webp(data, max_pixels)
    try:
        image = Image.open(Pieces(data), formats=FORMATS)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except Exception as error:
        raise ImageError("image_invalid", "not a JPEG, PNG, WebP, BMP or GIF picture") from error
    if image.width * image.height > max_pixels:
        raise _too_large(max_pixels)
    if image.format in ("JPEG", "MPO") and data.count(_SCAN_MARKER) > MAX_SCANS:
        raise ImageError("image_invalid", f"a JPEG of more than {MAX_SCANS} scans")
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
            raise ImageError("image_invalid", "the file consists of too many pieces")
        return super().read(size)


def _check_webp(data: bytes, max_pixels: int) -> None:
    """Pillow reads a WebP whole and reserves its canvas when it opens it: too late for these."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return
    if len(data) < int.from_bytes(data[4:8], "little") + 8:
        raise _damaged()
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        if width * height > max_pixels:
            raise _too_large(max_pixels)


def _damaged() -> ImageError:
    return ImageError("image_truncated", "the file ends early or is damaged")


def _too_large(max_pixels: int) -> ImageError:
    return ImageError("image_too_large", f"more than {max_pixels} pixels")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit grey to white.
        upper = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        image = Image.fromarray(upper)
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF leaves a picture as it is
        return 1
