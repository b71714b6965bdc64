"""Puts the version folders on the path, as Triton does for the model that it runs."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
MODELS = (
    "bertscore",
    "emotion_story",
    "face_enrollment",
    "image_classification",
    "reranking",
    "text_embedding",
    "vlm",
)
for model in MODELS:
    sys.path.append(str(REPOSITORY / model / "1"))
