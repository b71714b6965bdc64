"""The arms below a garment's sleeves: what is there stays, as no skin is invented."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from body.drawing import ONE, pixel
from body.frame import BodyFrame
from garment.parts import GarmentParts, along_arm, covered_share
from numpy.typing import NDArray

WIDTH = (0.95, 0.8)
"""Widths around upper arm and forearm in half shoulder widths: with a wide old sleeve."""
BEYOND = 0.35
"""Share of the forearm beyond the wrist that may belong to an old cuff."""
TORSO = 0.8
"""Half shoulder widths from the axis within which the torso is."""


def below_sleeves(frame: BodyFrame, parts: GarmentParts, size: tuple[int, ...]) -> NDArray[Any]:
    """Where the arms are that the garment leaves free, bool [height, width].

    Args:
        frame: Of the person.
        parts: The garment.
        size: Width and height of the picture.
    """
    arms = np.zeros(size[::-1], np.uint8)
    for side, sleeve in enumerate(parts.sleeves):
        share = covered_share(frame, sleeve, side)
        if share < 1:
            arms |= _rest(frame, side, share, size)
    across, _ = frame.coordinates(size)
    rest: NDArray[Any] = (arms > 0) & (np.abs(across) > TORSO)
    return rest


def _rest(frame: BodyFrame, side: int, share: float, size: tuple[int, ...]) -> NDArray[Any]:
    """One arm from a share of its way to behind the wrist, cut straight at its beginning."""
    arm = frame.arms[side]
    start, direction = along_arm(arm, share)
    first = float(np.hypot(*(arm[1] - arm[0])))
    elbow = first / (first + float(np.hypot(*(arm[2] - arm[1]))))
    end = arm[2] + BEYOND * (arm[2] - arm[1])
    wide = [max(3, round(width * frame.half)) for width in WIDTH]
    rest = np.zeros(size[::-1], np.uint8)
    if share < elbow:
        cv2.line(rest, pixel(start), pixel(arm[1]), ONE, wide[0])
    cv2.line(rest, pixel(arm[1] if share < elbow else start), pixel(end), ONE, wide[1])
    x = np.arange(size[0])[None] - start[0]
    y = np.arange(size[1])[:, None] - start[1]
    cap = (x * x + y * y < wide[0] ** 2) & (x * direction[0] + y * direction[1] < 0)
    rest[cap] = 0
    return rest
