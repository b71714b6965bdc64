"""Puts the warped garment on the person: cover, shading, soft edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHADE = (0.78, 1.08)
"""Least and most that folds darken or lighten the garment."""
LAYER_CONTRAST = 55
"""Difference of lightness (0 to 255) that makes two layers of one garment."""
FEATHER = 1.1
"""Pixels of the edge's blur."""


def nearest_colours(colours: NDArray[Any], known: NDArray[Any], blur: float) -> NDArray[Any]:
    """Every pixel in the colour of the nearest known one.

    Args:
        colours: float32 [height, width, 3].
        known: bool [height, width], at least one of them.
        blur: Of the result, pixels.
    """
    gaps = (~known).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        gaps, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((int(labels.max()) + 1, 3), np.float32)
    smooth = cv2.GaussianBlur(colours, (0, 0), 1)
    table[labels[known]] = smooth[known]
    filled: NDArray[Any] = cv2.GaussianBlur(table[labels], (0, 0), blur)
    return filled


def shading(picture: NDArray[Any], old: NDArray[Any], half: float) -> NDArray[Any]:
    """How light the old garment is compared to itself nearby: its folds, without its colour.

    Args:
        picture: uint8 RGB [height, width, 3].
        old: bool [height, width], the old garment.
        half: Half the shoulder width in pixels.

    Returns:
        float32 [height, width] factors, 1 outside the old garment.
    """
    if not old.any():
        return np.ones(old.shape, np.float32)
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    shade = np.ones(old.shape, np.float32)
    edge = np.ones((7, 7), np.uint8)
    layers = _layers(light, old)
    for layer in layers:
        inner = cv2.erode(layer.astype(np.uint8), edge).astype(np.float32)
        if not inner.any():
            continue
        fine = _blurred(light, inner, max(2.0, 0.06 * half))
        coarse = _blurred(light, inner, max(6.0, 0.45 * half))
        ratio = (fine + 20) / (coarse + 20)  # dark cloth has little light, and much noise
        # A print is no fold: the more contrast, the less of it is taken over.
        strength = np.clip(1.2 - float(np.std(fine[inner > 0])) / 28, 0.1, 1.0) / len(layers)
        factor = np.clip(1 + strength * (ratio - 1), *SHADE)
        soft = cv2.GaussianBlur(inner, (0, 0), max(2.0, 0.04 * half))
        shade *= 1 + soft * (factor - 1)
    return shade.astype(np.float32)


def blend(
    picture: NDArray[Any],
    garment: NDArray[Any],
    alpha: NDArray[Any],
    cover: NDArray[Any],
    stay: NDArray[Any],
    shade: NDArray[Any],
    blur: float,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the dressed person.

    Args:
        picture: uint8 RGB [height, width, 3].
        garment: float32 RGB of the same size.
        alpha: float32 [height, width], how much of the garment is there.
        cover: bool [height, width], where the garment must reach: what would show otherwise.
        stay: bool [height, width], where the picture stays.
        shade: float32 [height, width], factors.
        blur: Of the colours that cover, pixels.

    Returns:
        uint8 RGB, and how much of each pixel is new, float32 [height, width].
    """
    # Away from the garment's edge, where its photo has shadows.
    deep = round(2 * blur) | 1
    solid = cv2.erode((alpha > 0.9).astype(np.uint8), np.ones((deep, deep), np.uint8)) > 0
    colours = garment
    if solid.any():
        near = nearest_colours(garment, solid, blur)
        weight = np.clip((alpha - 0.55) / 0.4, 0, 1)[..., None]
        colours = garment * weight + near * (1 - weight)
    wanted = np.maximum(alpha, cover.astype(np.float32))
    wanted[stay] = 0
    share = cv2.GaussianBlur(wanted, (0, 0), FEATHER)
    share = np.where(cv2.erode(stay.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0, 0, share)
    share = share.astype(np.float32)
    lit = np.clip(colours * shade[..., None], 0, 255)
    dressed = picture * (1 - share[..., None]) + lit * share[..., None]
    return np.clip(np.rint(dressed), 0, 255).astype(np.uint8), share


def _layers(light: NDArray[Any], old: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the garment, or its dark and its light part (a jacket over a shirt)."""
    values = light[old].astype(np.uint8)
    edge, _ = cv2.threshold(values[None], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = values <= edge
    if min(dark.mean(), 1 - dark.mean()) < 0.03:
        return [old]
    if float(values[~dark].mean()) - float(values[dark].mean()) < LAYER_CONTRAST:
        return [old]
    smooth = cv2.medianBlur(light.astype(np.uint8), 5)
    return [old & (smooth <= edge), old & (smooth > edge)]


def _blurred(values: NDArray[Any], inside: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Gaussian mean over `inside` only; computed in a smaller picture."""
    step = max(1, int(sigma / 3))
    size = (max(1, values.shape[1] // step), max(1, values.shape[0] // step))
    weights = cv2.resize(inside, size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(values * inside, size, interpolation=cv2.INTER_AREA)
    blur = [cv2.GaussianBlur(part, (0, 0), sigma / step) for part in (sums, weights)]
    mean = blur[0] / np.maximum(blur[1], 1e-3)
    filled: NDArray[Any] = cv2.resize(mean, values.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return filled
