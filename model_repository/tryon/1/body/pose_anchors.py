"""Decodes the body detector: its anchors, its boxes, and the square that the landmarks are read in.

The numbers are those that MediaPipe documents for `pose_detection` (BlazePose, arXiv:2006.10204).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 224
STRIDES = ((8, 2), (16, 2), (32, 6))
"""Cell size in pixels, anchors per cell (one of scale 1 and one interpolated for each layer)."""
SCORE = 0.5
SQUARE_SCALE = 1.25
"""The square is that much wider than the circle around the body."""


@dataclass(frozen=True)
class BodySquare:
    """A square in the picture, turned with the body.

    Attributes:
        center: x, y in pixels.
        side: Pixels.
        angle: Radians by which the body is turned clockwise from upright.
    """

    center: tuple[float, float]
    side: float
    angle: float

    def matrix(self, size: int) -> NDArray[Any]:
        """Affine float64 [2, 3] from a `size` x `size` crop to the picture."""
        scale = self.side / size
        cos, sin = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        turn = np.array([[cos, -sin], [sin, cos]])
        offset = np.asarray(self.center) - turn @ [size / 2, size / 2]
        return np.column_stack([turn, offset])


def anchors() -> NDArray[Any]:
    """Centers of the 2,254 anchors, float64 [n, 2] in pixels of the detector's input."""
    centers = []
    for stride, count in STRIDES:
        axis = (np.arange(SIDE // stride) + 0.5) * stride
        x, y = np.meshgrid(axis, axis)
        cells = np.column_stack([x.ravel(), y.ravel()])
        centers.append(np.repeat(cells, count, axis=0))
    return np.concatenate(centers)


def best_body(raw: NDArray[Any], logits: NDArray[Any]) -> tuple[NDArray[Any], float] | None:
    """Return the most certain body.

    Args:
        raw: float32 [n, 12]: box center and size, then 4 points relative to the anchor, in pixels.
        logits: float32 [n].

    Returns:
        Hip center and the point at the body's full reach, float64 [2, 2] in pixels of the input,
        with the score; None when nothing reaches SCORE.
    """
    best = int(np.argmax(logits))
    score = float(1 / (1 + np.exp(-np.clip(logits[best], -100, 100))))
    if score < SCORE:
        return None
    points = raw[best, 4:8].reshape(2, 2).astype(np.float64) + anchors()[best]
    return points, score


def square_of(hips: NDArray[Any], reach: NDArray[Any]) -> BodySquare:
    """Return the square around a circle about the hips through `reach`."""
    away = np.asarray(reach, np.float64) - hips
    angle = float(np.arctan2(away[0], -away[1]))
    side = 2 * float(np.hypot(*away)) * SQUARE_SCALE
    return BodySquare((float(hips[0]), float(hips[1])), side, angle)
