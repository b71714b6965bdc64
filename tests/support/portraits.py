"""Portraits that may be shown to anybody, and how their pictures may differ.

Eileen Collins and Grace Hopper (`load_tests.portraits`), and the man of the video "carphone"
(`tests.support.clips`).
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageEnhance

from load_tests.portraits import collins, hopper
from tests.support.clips import carphone_frames

__all__ = [
    "beside",
    "carphone_man",
    "collins",
    "hopper",
    "jpeg",
    "lit",
    "scaled",
    "turned",
]


@cache
def carphone_man(frame: int = 0) -> Image.Image:
    """176 x 144, a talking man in a car."""
    return Image.fromarray(np.ascontiguousarray(carphone_frames()[frame]))


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    """The picture turned against the clock on a larger grey canvas."""
    return picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90))


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    """The picture in another size."""
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def lit(picture: Image.Image, factor: float) -> Image.Image:
    """The picture brighter or darker."""
    return ImageEnhance.Brightness(picture).enhance(factor)


def beside(*pictures: Image.Image) -> Image.Image:
    """Pictures in a row."""
    row = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)))
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width
    return row
