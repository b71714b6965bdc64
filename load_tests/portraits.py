"""Portraits in the public domain: what people send who enroll.

Both by the government of the United States: Eileen Collins (NASA, `astronaut.png` of
scikit-image) and Grace Hopper (US Navy, of matplotlib's sample data).
"""

from __future__ import annotations

import io
import math
import random
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from PIL import Image, ImageEnhance

from load_tests.originals import originals

CACHE = Path(__file__).resolve().parents[1] / "var" / "cache"

MATPLOTLIB = "matplotlib==3.11.2"
SHA256 = "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8"
# Every wheel holds the same pictures; one is named, so that there is one hash for all Pythons.
WHEEL = ("--python-version", "3.11", "--platform", "manylinux_2_17_x86_64")
HOPPER = "matplotlib/mpl-data/sample_data/grace_hopper.jpg"

POSES = ("front", "left", "right", "up", "down")
SIZE = (1280, 960)
QUALITY = 90
SEED = 20260103
# Middle and height of the faces in their pictures, in pixels.
_FACES = {"collins": (224, 120, 118), "hopper": (264, 232, 203)}


@cache
def collins() -> Image.Image:
    """512 x 512, a small face in front of a space shuttle."""
    return Image.open(originals(CACHE) / "astronaut.png").convert("RGB")


@cache
def hopper() -> Image.Image:
    """512 x 606, in uniform before a flag; downloaded once by pip.

    Raises:
        subprocess.CalledProcessError: pip could not download it, or the hash differs.
    """
    file = CACHE / "load_tests" / "portraits" / "grace_hopper.jpg"
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
def enrollments(count: int) -> list[list[bytes]]:
    """Return ``count`` people in five poses each, JPEG files of 1280 x 960 pixels.

    The poses are turned, shifted, scaled and lit portraits of two people, by turns; faces are 350
    to 500 pixels high.
    """
    chance = random.Random(SEED)
    people = list(_FACES)
    return [[_pose(people[number % 2], chance) for _ in POSES] for number in range(count)]


def _pose(person: str, chance: random.Random) -> bytes:
    portrait = collins() if person == "collins" else hopper()
    x, y, height = _FACES[person]
    scale = height / chance.uniform(350, 500)  # pixels of the portrait per pixel of the pose
    turn = math.radians(chance.uniform(-10, 10))
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    left, top = SIZE[0] / 2 + chance.uniform(-80, 80), SIZE[1] / 2 + chance.uniform(-50, 50)
    # Pillow wants the way back, from the pose to the portrait.
    across = (cosine, -sine, x - cosine * left + sine * top)
    down = (sine, cosine, y - sine * left - cosine * top)
    pose = portrait.transform(SIZE, Image.Transform.AFFINE, across + down, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    lit = ImageEnhance.Brightness(pose).enhance(chance.uniform(0.85, 1.1))
    lit.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
