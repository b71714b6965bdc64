"""Pictures with a colour profile → sRGB. Pillow (Little CMS) and numpy."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 1 << 22
"""Bytes; printers' profiles have one to three million."""
_SPACES = {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L"}
_SRGB = ImageCms.createProfile("sRGB")
_SAME = 2
"""Levels of 255 by which a profile may be off and be taken for sRGB itself."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture as it looks with its profile, by relative colorimetric intent.

    Args:
        image: Mode RGB, CMYK or L; may be changed in place.
        profile: ICC profile; one that is broken, absurd or of another kind is left out of account.

    Returns:
        Mode RGB where it was converted, otherwise the picture itself.
    """
    if profile is None or not _is_sound(profile):
        return image
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    if image.mode == "RGB":
        ImageCms.applyTransform(image, transform, inPlace=True)
        return image
    return ImageCms.applyTransform(image, transform) or image


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a profile to sRGB; None where it leads nowhere else or cannot be used."""
    if _SPACES.get(profile[16:20]) != mode:
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            _SRGB,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # the library has one error for everything
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    shown = ImageCms.applyTransform(Image.fromarray(colours), transform)
    return int(np.abs(np.asarray(shown).astype(int) - colours).max()) <= _SAME


def _is_sound(profile: bytes) -> bool:
    """Whether its tables are no larger than it is: the library makes room before it reads them."""
    if not 132 <= len(profile) <= MAX_PROFILE or profile[36:40] != b"acsp":
        return False
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > 100 or len(profile) < 132 + 12 * count:
        return False
    for place in range(count):
        start, size = struct.unpack_from(">II", profile, 136 + 12 * place)
        if start + size > len(profile) or not _fits(profile[start : start + size]):
            return False
    return True


def _fits(tag: bytes) -> bool:
    kind = tag[:4]
    if kind in (b"mft1", b"mft2") and len(tag) >= 12:
        inputs, outputs, side = tag[8:11]
        return inputs <= 4 and side**inputs * outputs * int(kind[3:]) <= len(tag)
    if kind in (b"mAB ", b"mBA ") and len(tag) >= 32:
        (table,) = struct.unpack_from(">I", tag, 24)
        sides = tag[table : table + tag[8]] if table else b""
        points = 1
        for side in sides:
            points *= side
        return tag[8] <= 4 and points * tag[9] <= len(tag) + tag[9]
    if kind == b"curv" and len(tag) >= 12:
        return 2 * int.from_bytes(tag[8:12], "big") <= len(tag)
    return kind != b"mpet"
