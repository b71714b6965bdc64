"""Two pictures to try: a person and a garment (`python -m export tryon-demo`).

Nobody's photos: avatars and product shots made by an image generator, in a package under the MIT
licence. They are downloaded once, checked by their hash, and not part of this project.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path

from PIL import Image

from export.catalogue import Package
from export.errors import ExportError
from export.fetch import checkpoint_folder
from export.progress import Progress
from gateway.settings import load_settings

COMMAND = "tryon-demo"
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
def folder(cache_folder: Path) -> Path:
    """Folder of the package's pictures, downloaded when it is not there.

    Raises:
        ExportError: the package cannot be downloaded or is another one.
    """
    with Progress() as progress:
        return checkpoint_folder(PACKAGE, cache_folder, progress)


def upper(pictures: Path, number: int) -> Image.Image:
    """Return a person from head to knees, RGB 768 x 1024; ``number`` is 1 to 4."""
    whole = Image.open(pictures / "avatars" / f"{number}.png").convert("RGB")
    return whole.crop((0, 40, whole.width, 40 + whole.width * 4 // 3))


def garment(pictures: Path, kind: str, number: int) -> Image.Image:
    """Return a garment flat on a plain background, RGB 1024 x 1024; ``kind`` is one of `KINDS`."""
    return Image.open(pictures / "clothes" / kind / f"{number}_front.jpg").convert("RGB")


def main(arguments: list[str]) -> int:
    """Write person.jpg and garment.jpg into a folder and return the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m export {COMMAND}", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write person.jpg and garment.jpg")
    target = parser.parse_args(arguments).folder
    try:
        pictures = folder(load_settings().paths.cache)
    except ExportError as error:
        sys.stderr.write(f"export: {error}\n")
        return 1
    target.mkdir(parents=True, exist_ok=True)
    upper(pictures, 3).save(target / "person.jpg", quality=92)
    garment(pictures, "jackets", 4).save(target / "garment.jpg", quality=92)
    sys.stderr.write(f"{target}: person.jpg, garment.jpg\n")
    return 0
