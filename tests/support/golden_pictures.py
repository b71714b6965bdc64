"""Ten pictures of every kind that clients send, and torchvision's own answers to them.

    python -m tests.support.golden_pictures

writes `tests/golden/pictures/` and `tests/golden/image_classification.json`. Both are committed:
the pictures are small and cut from photographs that are CC0 or in the public domain.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from load_tests.originals import PACKAGE, originals

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
PICTURES = GOLDEN / "pictures"
ANSWERS = GOLDEN / "image_classification.json"
CACHE = ROOT / "var" / "cache"
TOLERANCE = 1e-3
ORIENTATION = 0x0112


def _small(name: str, side: int) -> Image.Image:
    picture = Image.open(originals(CACHE) / name)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _rotated_jpeg() -> bytes:
    """Stored on its side; EXIF says how to turn it."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = _small("coffee.png", 320).transpose(Image.Transpose.ROTATE_90)
    return _saved(lying, "JPEG", quality=88, exif=exif)


def _gif() -> bytes:
    """An animation whose second picture is another one."""
    first, second = _small("clock_motion.png", 256), _small("coffee.png", 256)
    return _saved(first, "GIF", save_all=True, append_images=[second.resize(first.size)])


def _png_16_bit() -> bytes:
    grey = np.asarray(_small("camera.png", 160).convert("L")).astype(np.uint16)
    return _saved(Image.fromarray(grey * 257), "PNG", optimize=True)


def _png_alpha() -> bytes:
    """A transparent border hides pixels that `convert("RGB")` shows."""
    picture = _small("chelsea.png", 160).convert("RGB")
    alpha = Image.new("L", picture.size, 0)
    alpha.paste(255, (20, 20, picture.width - 20, picture.height - 20))
    picture.putalpha(alpha)
    return _saved(picture, "PNG", optimize=True)


def _png_palette() -> bytes:
    palette = _small("rocket.jpg", 256).quantize(64, dither=Image.Dither.NONE)
    return _saved(palette, "PNG", optimize=True, transparency=0)


def make() -> dict[str, bytes]:
    """The files by name."""
    return {
        "astronaut_tall.jpg": _saved(
            _small("astronaut.png", 512).crop((120, 0, 330, 512)), "JPEG", quality=80
        ),
        "camera_16_bit.png": _png_16_bit(),
        "chelsea_alpha.png": _png_alpha(),
        "chelsea_progressive.jpg": _saved(
            _small("chelsea.png", 451), "JPEG", quality=80, progressive=True, subsampling=0
        ),
        "clock_animated.gif": _gif(),
        "coffee_cmyk.jpg": _saved(_small("coffee.png", 300).convert("CMYK"), "JPEG", quality=85),
        "coffee_rotated.jpg": _rotated_jpeg(),
        "grass_grey.jpg": _saved(_small("grass.png", 256).convert("L"), "JPEG", quality=80),
        "retina.bmp": _saved(_small("retina.jpg", 140), "BMP"),
        "rocket.webp": _saved(_small("rocket.jpg", 640), "WEBP", quality=80),
    }


def reference_picture(file: Path) -> Image.Image:
    """As torchvision's users open a file, upright; 16-bit grey by its upper 8 bits."""
    picture = Image.open(file)
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
    return ImageOps.exif_transpose(picture).convert("RGB")


def answers() -> dict[str, list[dict[str, object]]]:
    """The five best classes of every committed picture, by torchvision's transform and model."""
    from load_tests.peers.torch_classifier import TorchClassifier

    classifier = TorchClassifier(CACHE)
    found: dict[str, list[dict[str, object]]] = {}
    for file in sorted(PICTURES.iterdir()):
        prepared = classifier.transform(reference_picture(file))
        values, classes = classifier.classify([prepared])[0].topk(5)
        found[file.name] = [
            {"class": number, "label": classifier.labels[number], "confidence": round(value, 6)}
            for number, value in zip(classes.tolist(), values.tolist(), strict=True)
        ]
    return found


def main() -> None:
    """Write the pictures and their answers."""
    import torch

    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, content in make().items():
        (PICTURES / name).write_bytes(content)
    found = answers()
    import torchvision  # answers() has made it importable

    content = {
        "provenance": "torchvision MobileNet_V2_Weights.IMAGENET1K_V1 with its own transforms(), "
        f"fp32 CPU, torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"Pillow {Image.__version__}",
        "pictures": f"cut from photographs of {PACKAGE}: astronaut (NASA), retina, rocket "
        "(SpaceX), clock: public domain; camera (Lav Varshney), chelsea (Stefan van der Walt), "
        "coffee (Rachel Michetti), grass (CC0Textures): CC0",
        "tolerance": TOLERANCE,
        "cases": found,
    }
    ANSWERS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
