"""The pictures that every server is asked about: photographs of 640 x 480 pixels, all different."""

from __future__ import annotations

import io
import random
from functools import cache
from pathlib import Path

from PIL import Image

from load_tests.originals import originals

SEED = 20260102
SIZE = (640, 480)
QUALITY = 85
# Detailed ones, so that the files are as large as a camera's: 60 kB in the mean.
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg")


@cache
def jpegs(count: int, folder: Path = Path("var/cache")) -> list[bytes]:
    """Return ``count`` JPEG files, cut from the photographs at random places and scales."""
    chance = random.Random(SEED)
    source = originals(folder)
    photographs = [Image.open(source / name).convert("RGB") for name in PHOTOGRAPHS]
    return [_cut(photographs[index % len(photographs)], chance) for index in range(count)]


def _cut(photograph: Image.Image, chance: random.Random) -> bytes:
    scale = chance.uniform(0.6, 1.0) * min(photograph.width / SIZE[0], photograph.height / SIZE[1])
    width, height = SIZE[0] * scale, SIZE[1] * scale
    left = chance.uniform(0, photograph.width - width)
    top = chance.uniform(0, photograph.height - height)
    box = (left, top, left + width, top + height)
    file = io.BytesIO()
    photograph.resize(SIZE, Image.Resampling.BICUBIC, box=box).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
