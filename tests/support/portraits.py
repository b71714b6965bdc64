"""Portraits that may be shown to anybody, and how their pictures may differ.

Two women, both photographed by the government of the United States (public domain): Eileen
Collins (NASA, `astronaut.png` of scikit-image) and Grace Hopper (US Navy, of matplotlib's sample
data). And the man of the video "carphone" (`tests.support.clips`).
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from load_tests.originals import originals
from tests.support.clips import carphone_frames

CACHE = Path(__file__).resolve().parents[2] / "var" / "cache"

MATPLOTLIB = "matplotlib==3.11.2"
SHA256 = "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8"
# Every wheel holds the same pictures; one is named, so that there is one hash for all Pythons.
WHEEL = ("--python-version", "3.11", "--platform", "manylinux_2_17_x86_64")
HOPPER = "matplotlib/mpl-data/sample_data/grace_hopper.jpg"


@cache
def collins() -> Image.Image:
    """512 x 512, a small face in front of a space shuttle."""
    return Image.open(originals(CACHE) / "astronaut.png").convert("RGB")


@cache
def hopper() -> Image.Image:
    """512 x 606, in uniform before a flag."""
    file = CACHE / "portraits" / "grace_hopper.jpg"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as folder:
            lock = Path(folder, "portraits.lock")
            lock.write_text(f"{MATPLOTLIB} --hash=sha256:{SHA256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary=:all:", *WHEEL]
            command += ["--require-hashes", "-r", str(lock), "-d", folder]
            subprocess.run(command, check=True)
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                file.parent.mkdir(parents=True, exist_ok=True)
                partial = file.with_suffix(".partial")
                partial.write_bytes(wheel.read(HOPPER))
                partial.rename(file)
    return Image.open(file).convert("RGB")


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
