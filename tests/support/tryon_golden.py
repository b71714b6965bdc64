"""`python -m tests.support.tryon_golden`: writes tests/golden/tryon/warp.json anew.

Mean colours of 12 x 16 blocks of pictures that were looked at and found good. Run it only after
looking at new ones: it also saves them to var/tryon_golden.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from export.tryon.demo import PACKAGE
from tests.support.tryon_model import ROOT, serving
from tests.support.tryon_pictures import garment, png, rectangle, upper

GOLDEN = ROOT / "tests" / "golden" / "tryon" / "warp.json"
BLOCKS = (12, 16)
DEMO = {"person": 3, "garment": ["jackets", 4]}
CASES: dict[str, dict[str, Any]] = {
    "denim jacket over a blazer": {"person": 4, "garment": ["jackets", 1]},
    "leather jacket over a sweater": {"person": 3, "garment": ["jackets", 4]},
    "shirt over a denim jacket": {"person": 2, "garment": ["shirts", 1]},
    "short sleeves over a denim jacket": {"person": 2, "garment": ["shirts", 2]},
    "hoodie without its shadow": {"person": 2, "garment": ["jackets", 3]},
    "tee over a hoodie in the colour of skin": {"person": 1, "garment": ["shirts", 4]},
    "hoodie worn by another person": {"person": 4, "garment": ["person", 1]},
    "jacket behind a mask of the torso": {**DEMO, "mask": "torso"},
    "jacket behind a mask of the arms": {**DEMO, "mask": "arms"},
    "jacket behind a wide mask": {**DEMO, "mask": "wide"},
    "shirt behind a mask, with bare arms": {
        "person": 4,
        "garment": ["shirts", 2],
        "mask": "arms",
    },
}
ORIGIN = (
    f"Own renders by the engine warp at 480p, seed 1, of generated pictures (MIT licence) of the "
    f"package {PACKAGE.name}=={PACKAGE.version}: mean colours of {BLOCKS[0]} x {BLOCKS[1]} blocks, "
    "rows of RGB."
)


def files(case: dict[str, Any]) -> tuple[bytes, bytes]:
    """Person and garment of a case."""
    kind, which = case["garment"]
    worn = upper(which) if kind == "person" else garment(kind, which)
    number = case["person"]
    who = rectangle(number, case["mask"]) if "mask" in case else upper(number)
    return png(who), png(worn)


def blocks(image: bytes) -> np.ndarray:
    """Mean colours, int [16, 12, 3]."""
    picture = Image.open(io.BytesIO(image)).convert("RGB")
    return np.asarray(picture.resize(BLOCKS, Image.Resampling.BOX)).astype(int)


def main() -> None:
    """Writes the file and the pictures."""
    seen = ROOT / "var" / "tryon_golden"
    seen.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), default_resolution="480p") as model,
    ):
        for name, case in CASES.items():
            image = model.run(*files(case), seed=1).image
            (seen / f"{name.replace(' ', '_')}.png").write_bytes(image)
            colours = blocks(image).astype(np.uint8)
            rows = [" ".join(bytes(block).hex() for block in row) for row in colours]
            found[name] = {**case, "blocks": rows}
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps({"origin": ORIGIN, "cases": found}, indent=1) + "\n")


def expected(case: dict[str, Any]) -> np.ndarray:
    """The blocks of a case of the file, int [16, 12, 3]."""
    rows = [[list(bytes.fromhex(block)) for block in row.split()] for row in case["blocks"]]
    return np.array(rows)


if __name__ == "__main__":
    main()
