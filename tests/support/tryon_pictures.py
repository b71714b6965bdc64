"""People and garments to try on: the generated pictures of `export/tryon/demo.py`."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from export.tryon import demo

CACHE = Path(__file__).resolve().parents[2] / "var" / "cache"


@cache
def person(number: int) -> Image.Image:
    """768 x 1376, standing before a plain background: 1 a man in a hoodie, 2 a woman in a denim
    jacket, 3 a man in a sweater, 4 a woman in a blazer."""
    return Image.open(demo.folder(CACHE) / "avatars" / f"{number}.png").convert("RGB")


@cache
def garment(kind: str, number: int) -> Image.Image:
    """1024 x 1024, flat on a plain background; `kind` is one of demo.KINDS, `number` 1 to 4."""
    return demo.garment(demo.folder(CACHE), kind, number)


def upper(number: int) -> Image.Image:
    """The person from head to knees, 3:4."""
    return demo.upper(demo.folder(CACHE), number)


def masked(number: int) -> tuple[Image.Image, np.ndarray]:
    """The person with a green torso, as the bridge paints it, and where, bool [height, width]."""
    picture = np.array(upper(number))
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    middle = {1: 0.52, 2: 0.5, 3: 0.52, 4: 0.5}[number] * width
    inside = (np.abs(x - middle) < 0.17 * width) & (np.abs(y / height - 0.5) < 0.16)
    picture[inside] = (0, 255, 0)
    return Image.fromarray(picture), inside


RECTANGLES = {
    "torso": (0.27, 0.73, 0.28, 0.66),
    "arms": (0.22, 0.78, 0.25, 0.72),
    "wide": (0.08, 0.92, 0.25, 0.78),
}
"""Left, right, top and bottom of masks as old clients paint them, shares of the picture."""


def rectangle(number: int, size: str) -> Image.Image:
    """The person behind a green rectangle of RECTANGLES."""
    picture = np.array(upper(number))
    height, width = picture.shape[:2]
    left, right, top, bottom = RECTANGLES[size]
    rows = slice(round(top * height), round(bottom * height))
    picture[rows, round(left * width) : round(right * width)] = (0, 255, 0)
    return Image.fromarray(picture)


def png(picture: Image.Image) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def jpeg(picture: Image.Image) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()
