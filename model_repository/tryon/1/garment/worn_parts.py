"""Torso and sleeves of a garment that somebody wears in its photo."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from body.drawing import ONE, pixel
from body.frame import BodyFrame
from numpy.typing import NDArray
from tryon_errors import GarmentError

from garment.parts import ARMPIT, CHEST, NECK, TIP, GarmentParts, Sleeve, along_arm

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def worn_parts(mask: NDArray[Any], frame: BodyFrame) -> GarmentParts:
    """Torso and sleeves of a worn garment.

    Args:
        mask: uint8 [height, width] of the garment.
        frame: Of the person who wears it.

    Raises:
        GarmentError: The upper body is hardly covered.
    """
    size = mask.shape[1::-1]
    across, down = frame.coordinates(size)
    core = (np.abs(across) < 0.6) & (down > 0.1) & (down < 0.75)
    if not core.any() or mask[core].mean() < 0.5:
        raise GarmentError("no garment on the upper body")
    rows = down[(mask > 0) & (np.abs(across) < 0.5)]
    hem = float(np.clip(np.percentile(rows, 99.5), 0.75, 1.35))
    lift = frame.lift
    points = [frame.at(sign * TIP[0], TIP[1] * lift) for sign in (-1, 1)]
    points += [frame.at(sign * NECK[0], NECK[1] * lift) for sign in (-1, 1)]
    points.append(frame.at(0, NECK[1] * lift))
    for row in (ARMPIT, (ARMPIT + hem) / 2, ARMPIT + 0.94 * (hem - ARMPIT)):
        for sign in (-1, 1):
            points.append(frame.at(sign * _edge(mask, frame, sign, row), row))
    capsules = [_capsule(frame, side, size) for side in (0, 1)]
    sleeves = tuple(_sleeve(mask * capsules[side], frame, side) for side in (0, 1))
    arms = np.maximum(*capsules)
    inside = ((np.abs(across) < 0.92) | (arms == 0)).astype(np.uint8)
    torso = mask * inside * ((np.abs(across) < 1.3) & (down < hem + 0.05)).astype(np.uint8)
    return GarmentParts(torso, np.array(points), 0.0, sleeves, hem)


def _edge(mask: NDArray[Any], frame: BodyFrame, sign: int, down: float) -> float:
    height, width = mask.shape
    for across in np.arange(0.7, CHEST + 0.08, 0.02):
        x, y = frame.at(sign * across, down).round().astype(int)
        if not (0 <= x < width and 0 <= y < height) or not mask[y, x]:
            return float(across)
    return CHEST


def _capsule(frame: BodyFrame, side: int, size: tuple[int, ...]) -> NDArray[Any]:
    capsule = np.zeros(size[::-1], np.uint8)
    shoulder, elbow, wrist = (pixel(point) for point in frame.arms[side].round())
    cv2.line(capsule, shoulder, elbow, ONE, max(3, round(frame.half * 0.66)))
    cv2.line(capsule, elbow, wrist, ONE, max(3, round(frame.half * 0.56)))
    return capsule


def _sleeve(mask: NDArray[Any], frame: BodyFrame, side: int) -> Sleeve | None:
    """Return the sleeve inside an arm's capsule, as far as the arm's middle is covered."""
    height, width = mask.shape
    arm, covered = frame.arms[side], 0.0
    for share in np.linspace(0.05, 1.0, 39):
        x, y = along_arm(arm, float(share))[0].round().astype(int)
        if 0 <= x < width and 0 <= y < height and mask[y, x]:
            covered = float(share)
        elif share > covered + 0.12:
            break
    if covered < 0.1:
        return None
    sign = -1 if side == 0 else 1
    tip, pit = frame.at(sign * TIP[0], TIP[1] * frame.lift), frame.at(sign * CHEST, ARMPIT)
    outer, inner = [tip], [pit]
    for share in SHARES[1:]:
        point, direction = along_arm(arm, share * covered)
        normal = np.array([-direction[1], direction[0]])
        if normal @ (outer[-1] - inner[-1]) < 0:
            normal = -normal
        half = (0.33 - 0.05 * share) * frame.half
        outer.append(point + normal * half)
        inner.append(point - normal * half)
    return Sleeve(mask, np.array(outer), np.array(inner), 0.0, SHARES, covered)
