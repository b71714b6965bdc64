"""Which of several faces is the person's that a picture is of. numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from face_detection import Faces
from numpy.typing import NDArray

RULES = ("central", "largest", "certain")

CENTRAL_WEIGHT = 2.0
"""Of the squared distance from the middle against the area, as in InsightFace's detectors."""

LARGE = 0.25
"""Faces of at least this share of the chosen one's area are large: somebody else stands near."""


def choose_face(faces: Faces, height: int, width: int, rule: str) -> int:
    """Place of the face that counts.

    Args:
        faces: At least one.
        height: Of the picture in pixels.
        width: Likewise.
        rule: `central`, the largest and most central one; `largest`; or `certain`, the one with
            the highest score.
    """
    if rule == "certain":
        return int(np.argmax(faces.scores))
    worth = areas(faces)
    if rule == "central":
        middles = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        offsets = middles - (width / 2, height / 2)
        worth = worth - CENTRAL_WEIGHT * (offsets**2).sum(axis=1)
    return int(np.argmax(worth))


def large_faces(faces: Faces, chosen: int) -> int:
    """How many faces are large beside the chosen one, itself included."""
    sizes = areas(faces)
    return int((sizes >= LARGE * sizes[chosen]).sum())


def areas(faces: Faces) -> NDArray[Any]:
    """FP32 [n], square pixels."""
    sizes: NDArray[Any] = np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)
    return sizes
