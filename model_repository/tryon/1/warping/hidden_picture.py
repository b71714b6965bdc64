"""Fills in what a green mask hides beside the garment: background, legs, bare skin."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from body.frame import BodyFrame, hand_mask
from numpy.typing import NDArray
from tryon_errors import PoseError

from warping.blend import FEATHER, nearest_colours
from warping.masked_body import MaskedBody

REFERENCE = 0.02
"""Least area, in squares of half a shoulder width, of what is seen of a part to go on from."""
ROUND = 0.18
"""How much darker a limb is at its edge than in its middle."""


def uncovered(
    picture: NDArray[Any],
    green: NDArray[Any],
    person: NDArray[Any],
    skin: NDArray[Any],
    body: MaskedBody,
    garment: NDArray[Any],
    frame: BodyFrame,
) -> NDArray[Any]:
    """Return the picture without the mask, as it would be below the garment.

    Args:
        picture: uint8 RGB [height, width, 3].
        green: bool [height, width], the mask.
        person: bool, what is seen of the person.
        skin: bool, in the colour of the face.
        body: Behind the mask.
        garment: bool, what the garment will cover.
        frame: Of the person.

    Returns:
        uint8 RGB [height, width, 3], unchanged outside the mask.

    Raises:
        PoseError: Nothing is seen of a part that would have to be shown.
    """
    size = picture.shape[1::-1]
    hands = hand_mask(frame, size) > 0
    wide = round(0.1 * frame.half) | 1  # the networks' outlines are coarse
    around = (person | hands | green).astype(np.uint8)
    around = cv2.dilate(around, np.ones((wide, wide), np.uint8)) > 0
    if around.all():
        raise PoseError("the mask hides the background")
    bare = spread(picture, ~around).astype(np.float32)
    shown = green & ~garment
    least = REFERENCE * frame.half**2
    across, down = frame.coordinates(size)
    skin_seen = skin & person
    face = skin_seen & (down < 0)
    if face.sum() < least:
        raise PoseError("no skin of the face is visible")
    tone = np.median(picture[face], axis=0)
    legs_seen = (person & ~hands & (np.abs(across) < 1.1) & (down > 0.5)).astype(np.uint8)
    legs_seen = cv2.erode(legs_seen, np.ones((1, wide), np.uint8)) > 0
    if legs_seen.sum() < least < (shown & body.legs).sum():
        raise PoseError("the mask hides all that is below the garment")
    if legs_seen.any() and (shown & body.legs).any():
        _paint(bare, _mirrored(picture, legs_seen, body.row), body.legs)
    for side, arm in enumerate(body.arms):
        own = hands & skin_seen & ((across < 0) == (side == 0))
        colour = np.median(picture[own], axis=0) if own.sum() > least else tone
        colours = np.broadcast_to((colour + tone) / 2, picture.shape)  # hands are redder than arms
        _paint(bare, colours * _rounded(arm)[..., None], arm)
    _paint(bare, nearest_colours(picture.astype(np.float32), face, 0.08 * frame.half), body.neck)
    bare = np.clip(np.rint(bare), 0, 255).astype(np.uint8)
    return np.where(green[..., None], bare, picture)


def spread(picture: NDArray[Any], known: NDArray[Any]) -> NDArray[Any]:
    """Smooth colours everywhere from the known pixels, float32 [height, width, 3].

    Means over ever larger squares (pull and push, Gortler et al., 1996): near known pixels their
    colours, far away a smooth passage between them.

    Args:
        picture: uint8 or float32 RGB [height, width, 3].
        known: bool [height, width], at least one of them.
    """
    weights: NDArray[Any] = known.astype(np.float32)
    levels = [(picture * weights[..., None], weights)]
    while min(levels[-1][1].shape) > 2 and (levels[-1][1] == 0).any():
        sums, mass = levels[-1]
        size = ((mass.shape[1] + 1) // 2, (mass.shape[0] + 1) // 2)
        sums, mass = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (sums, mass))
        scale = 1 / np.maximum(mass, 0.25)  # a quarter of a square is enough to know it
        levels.append((sums * scale[..., None], mass * scale))
    sums, mass = levels[-1]
    colours: NDArray[Any] = sums / np.maximum(mass, 1e-6)[..., None]
    colours[mass == 0] = sums.sum((0, 1)) / max(float(mass.sum()), 1e-6)
    for sums, mass in levels[-2::-1]:
        colours = cv2.resize(colours, mass.shape[::-1], interpolation=cv2.INTER_LINEAR)
        colours = cv2.GaussianBlur(colours, (0, 0), 1.0)
        colours = sums + colours * (1 - np.minimum(mass, 1))[..., None]
    completed: NDArray[Any] = colours
    return completed


def _mirrored(picture: NDArray[Any], known: NDArray[Any], row: int) -> NDArray[Any]:
    """Return what is known below a row, mirrored at it, and smooth colours elsewhere."""
    rows = np.clip(2 * row - np.arange(len(picture)), row, len(picture) - 1)
    return spread(picture[rows], known[rows]) if known[rows].any() else spread(picture, known)


def _paint(target: NDArray[Any], colours: NDArray[Any], where: NDArray[Any]) -> None:
    share = cv2.GaussianBlur(where.astype(np.float32), (0, 0), FEATHER)[..., None]
    target += share * (colours - target)


def _rounded(limb: NDArray[Any]) -> NDArray[Any]:
    """float32 [height, width], less at the edges of a limb than in its middle."""
    depth = cv2.distanceTransform(limb.astype(np.uint8), cv2.DIST_L2, 3)
    share = np.clip(depth / max(float(depth.max()), 1.0), 0, 1)
    return 1 - ROUND * (1 - np.sqrt(share))
