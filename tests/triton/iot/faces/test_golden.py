"""The served vectors against those that are written down."""

from __future__ import annotations

import json

import numpy as np

from tests.support.face_models import FaceModels
from tests.support.golden_faces import GOLDEN, portrait


def test_the_vector_of_a_portrait(face_models: FaceModels) -> None:
    golden = json.loads(GOLDEN.read_text())
    info = json.loads(face_models.ask([portrait()], ("MODEL_INFO",))["MODEL_INFO"][0])
    told = {f"face_{name}": info[name]["source"] for name in ("detector", "embedder")}
    assert told == golden["networks"]
    varied = face_models.enroll([portrait()]).vector
    assert varied @ np.array(golden["varied"]) >= golden["varied_cosine_floor"]
    alone = face_models.enroll([portrait()], options={"variants": False}).vector
    assert np.abs(alone - golden["alone"]).max() <= golden["tolerance"]
    assert np.linalg.norm(golden["alone"]) > 0.999
    assert varied @ alone < 0.9999  # the variants count
