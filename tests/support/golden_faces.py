"""The vectors of one public-domain portrait, by the plain implementation.

    python -m tests.support.golden_faces

writes `tests/golden/face_vector.json`.
"""

from __future__ import annotations

import json
from pathlib import Path

from load_tests.originals import PACKAGE
from load_tests.peers.plain_faces import PlainFaces
from tests.support.portraits import collins, jpeg

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "face_vector.json"
QUALITY = 95


def portrait() -> bytes:
    """Eileen Collins as a JPEG."""
    return jpeg(collins(), QUALITY)


def main() -> None:
    """Write the vectors and where they are from."""
    repository = ROOT / "model_repository"
    networks = {
        name: json.loads((repository / name / "1" / file).read_text())
        for name, file in (("face_detector", "detector.json"), ("face_embedder", "metadata.json"))
    }
    faces = PlainFaces(repository, 1)
    alone, varied = (faces.vector([portrait()], varied=varied) for varied in (False, True))
    content = {
        "picture": f"astronaut.png of {PACKAGE}, JPEG of quality {QUALITY}",
        "origin": "load_tests/peers/plain_faces.py: ONNX Runtime, numpy and OpenCV, every variant "
        "of the whole picture searched anew",
        "networks": {name: facts["source"] for name, facts in networks.items()},
        "tolerance": 1e-3,
        "alone": [round(value, 6) for value in alone.tolist()],
        # The face is small: landmarks found anew in a noisy variant are a pixel elsewhere.
        "varied_cosine_floor": 0.985,
        "varied": [round(value, 6) for value in varied.tolist()],
    }
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
