"""Puts the version folders on the path, as Triton does for the model that it runs."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
for model in ("image_classification", "face_enrollment", "emotion_story", "tryon"):
    sys.path.append(str(REPOSITORY / model / "1"))
