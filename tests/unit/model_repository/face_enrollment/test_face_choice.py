"""The person that a picture is of stands in front and in the middle."""

from __future__ import annotations

import numpy as np
import pytest
from face_detection import Faces
from faces.choice import choose_face, large_faces


def faces(*boxes: tuple[float, float, float, float], scores: tuple[float, ...] = ()) -> Faces:
    sure = np.array(scores or [0.9] * len(boxes), np.float32)
    return Faces(np.array(boxes, np.float32), sure, np.zeros((len(boxes), 5, 2), np.float32))


MIDDLE = (280.0, 200.0, 360.0, 280.0)
ASIDE_A_LITTLE_LARGER = (0.0, 0.0, 90.0, 90.0)
ASIDE_MUCH_LARGER = (0.0, 0.0, 400.0, 400.0)


def test_the_middle_counts_more_than_a_little_size() -> None:
    assert choose_face(faces(ASIDE_A_LITTLE_LARGER, MIDDLE), 480, 640, "central") == 1


def test_a_much_larger_face_is_nearer_and_counts() -> None:
    assert choose_face(faces(MIDDLE, ASIDE_MUCH_LARGER), 480, 640, "central") == 1


@pytest.mark.parametrize(("rule", "chosen"), [("largest", 0), ("certain", 2)])
def test_other_rules(rule: str, chosen: int) -> None:
    found = faces(ASIDE_A_LITTLE_LARGER, MIDDLE, (500, 10, 520, 30), scores=(0.7, 0.8, 0.95))
    assert choose_face(found, 480, 640, rule) == chosen


def test_faces_in_the_background_are_not_large() -> None:
    found = faces(MIDDLE, (0, 0, 39, 39), (100, 0, 140, 40), ASIDE_A_LITTLE_LARGER)
    assert large_faces(found, 0) == 3
    assert large_faces(found, 3) == 2
