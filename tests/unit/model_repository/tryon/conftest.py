"""Puts the model's folder on the path, as Triton does."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[4] / "model_repository" / "tryon" / "1"
sys.path.append(str(FOLDER))
