"""The documented green mask: pure green painted over what is to change."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HUE = (50, 70)
"""OpenCV's hue of pure green is 60."""
LEAST_SHARE = 0.01
"""Less green than that share of the picture is no mask."""
FRINGE = 7
"""Width in pixels of the band around the mask where compression and scaling leave green."""


def find_green(picture: NDArray[Any]) -> NDArray[Any] | None:
    """Return the masked area with its fringe, bool [height, width]; None when there is no mask."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    pure = (hue >= HUE[0]) & (hue <= HUE[1]) & (saturation > 180) & (value > 110)
    opening = np.ones((5, 5), np.uint8)
    opened = cv2.morphologyEx(pure.astype(np.uint8), cv2.MORPH_OPEN, opening)
    if opened.mean() < LEAST_SHARE:
        return None
    band = cv2.dilate(opened, np.ones((FRINGE, FRINGE), np.uint8)) > 0
    low = picture.astype(np.int16)
    tinted = low[..., 1] - np.maximum(low[..., 0], low[..., 2]) > 24
    near = cv2.dilate(opened, np.ones((2 * FRINGE + 1, 2 * FRINGE + 1), np.uint8)) > 0
    return np.asarray((cv2.dilate(opened, np.ones((3, 3), np.uint8)) > 0) | (band | near) & tinted)
