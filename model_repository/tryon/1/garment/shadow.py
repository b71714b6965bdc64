"""Tells a garment in a product photo from its shadow."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHADOW = 45
"""Width in pixels of the rim where a shadow is looked for, and how far it is followed."""
DARK = 100
"""Lightness (0 to 255) of a garment below which it cannot be told from its shadow by steps."""
FALL = (2.0, 26.0)
"""Least and most fall of lightness from pixel to pixel within a shadow."""


def shadow_of(picture: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Where shadows are, bool [height, width]: darker than the background, but of its colour.

    Args:
        picture: uint8 RGB [height, width, 3].
        labels: uint8 [height, width], what GrabCut starts from.
    """
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    likely = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    inner = cv2.erode(likely.astype(np.uint8), np.ones((SHADOW, SHADOW), np.uint8)) > 0
    if not inner.any() or likely.all():
        return np.zeros(likely.shape, bool)
    ground = np.median(lab[labels == cv2.GC_BGD], axis=0)
    apart = lab - ground
    tint, dark = np.hypot(apart[..., 1], apart[..., 2]), -apart[..., 0]
    middle = np.median(lab[inner], axis=0)
    own = np.linalg.norm(lab - middle, axis=-1)
    colourful = float(np.median(tint[inner])) > 10
    # What is more like the garment's middle than like the background is its own.
    shadow = (tint < 8) & (dark > 12) & (own > 1.2 * dark)
    # Gaps between sleeves and torso, unless the garment is as light as its background. White
    # prints are taken as well and come back with all holes.
    ground_alike = np.linalg.norm(apart, axis=-1) < min(14, np.linalg.norm(middle - ground) / 4)
    shadows = np.asarray((~inner & shadow) | ground_alike)
    if colourful or middle[0] > DARK:
        shadows |= _penumbra(lab[..., 0], ~likely | shadows, (tint < 8) & (dark > 12))
    return shadows


def _penumbra(light: NDArray[Any], start: NDArray[Any], neutral: NDArray[Any]) -> NDArray[Any]:
    """Return what gets gradually darker from `start` on, bool [height, width].

    A shadow does, down to the line where the garment lies on its background; at the edge of the
    garment itself the step is too large.

    Args:
        light: float32 [height, width], 0 to 255.
        start: bool, background.
        neutral: bool, where a shadow may be.
    """
    light = cv2.GaussianBlur(light, (0, 0), 1)
    ways = []
    for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
        fall = np.roll(light, shift, axis) - light
        ways.append((axis, shift, neutral & (fall > FALL[0]) & (fall < FALL[1])))
    reached = start.copy()
    for _ in range(SHADOW):
        grown = reached.copy()
        for axis, shift, way in ways:
            grown |= np.roll(reached, shift, axis) & way
        if (grown == reached).all():
            break
        reached = grown
    new = (reached & ~start).astype(np.uint8)  # without paths through the cloth's texture
    return start | (cv2.morphologyEx(new, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0)
