"""Torso and sleeves of a garment, and the place of each on the person's body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from body.frame import BodyFrame
from numpy.typing import NDArray

CHEST = 1.08
"""Half widths of the torso at the armpits, in half shoulder widths."""
TIP = (0.98, -0.24)
"""Shoulder tip: half shoulder widths across, and down."""
NECK = (0.44, -0.56)
COLLAR = -0.6
ARMPIT = 0.27
"""Torso lengths below the shoulders."""
HEM = (0.92, 1.28)
"""Least and most torso lengths from the shoulders to the hem."""
STRETCH = 0.25
"""Torso lengths by which a garment may be made longer to cover the old one's hem."""
LONG_SLEEVE = 0.75
"""Share of an arm from which a sleeve is taken to reach the wrist."""
SLEEVE_HALF = (0.2, 0.42)
"""Least and most half width of a sleeve, in half shoulder widths."""


@dataclass(frozen=True)
class Sleeve:
    """One sleeve in its photo.

    Attributes:
        mask: uint8 [height, width].
        outer: float64 [n, 2], pixels along the outer edge from the shoulder's tip.
        inner: The same along the inner edge from the armpit.
        length: In widths of the torso.
        shares: Where the pairs of points are, from 0 at the shoulder to 1 at the end.
        worn: Share of an arm's length that it covers, where somebody wears it.
    """

    mask: NDArray[Any]
    outer: NDArray[Any]
    inner: NDArray[Any]
    length: float
    shares: tuple[float, ...]
    worn: float | None = None


@dataclass(frozen=True)
class GarmentParts:
    """A garment in its photo; the picture's left comes first.

    Attributes:
        mask: uint8 [height, width] of the torso.
        torso: float64 [11, 2]: both shoulder tips, both sides of the neck, the collar's middle,
            both edges at the armpits, in the middle and near the hem.
        tall: From shoulder to hem in widths of the torso.
        sleeves: None where there is none.
        hem: Torso lengths from the shoulders to the hem, where somebody wears it.
    """

    mask: NDArray[Any]
    torso: NDArray[Any]
    tall: float
    sleeves: tuple[Sleeve | None, ...]
    hem: float | None = None


def torso_target(
    frame: BodyFrame, parts: GarmentParts, body: NDArray[Any], old_hem: float
) -> NDArray[Any]:
    """Places of `parts.torso` on the person, float64 [11, 2].

    Args:
        frame: Of the person.
        parts: The garment.
        body: bool [height, width], the person.
        old_hem: Torso lengths from the shoulders to the hem of what is worn; a garment that is a
            little shorter is stretched over it.
    """
    lift = frame.lift
    worn_hem = parts.hem
    hem = worn_hem if worn_hem is not None else TIP[1] * lift + parts.tall * 2 * CHEST * lift
    hem = float(np.clip(hem, *HEM))
    hem = float(np.clip(old_hem, hem, hem + STRETCH))
    bottom = ARMPIT + 0.94 * (hem - ARMPIT)
    middle = (ARMPIT + hem) / 2
    points = [frame.at(sign * TIP[0], TIP[1] * lift) for sign in (-1, 1)]
    points += [frame.at(sign * NECK[0], NECK[1] * lift) for sign in (-1, 1)]
    points.append(frame.at(0, COLLAR * lift))
    for down in (ARMPIT, middle, bottom):
        for sign in (-1, 1):
            points.append(frame.at(sign * _half_width(frame, body, sign, down), down))
    return np.array(points)


def sleeve_target(frame: BodyFrame, sleeve: Sleeve, side: int) -> NDArray[Any]:
    """Places of the sleeve's outer, then inner points on the person, float64 [2 n, 2]."""
    sign = -1 if side == 0 else 1
    tip, pit = frame.at(sign * TIP[0], TIP[1] * frame.lift), frame.at(sign * CHEST, ARMPIT)
    arm = frame.arms[side]
    covered = covered_share(frame, sleeve, side)
    root_width = float(np.hypot(*(sleeve.outer[0] - sleeve.inner[0]))) or 1.0
    outer, inner = [tip], [pit]
    for place, a, b in zip(sleeve.shares[1:], sleeve.outer[1:], sleeve.inner[1:], strict=True):
        point, direction = along_arm(arm, place * covered)
        normal = np.array([-direction[1], direction[0]])
        if normal @ (outer[-1] - inner[-1]) < 0:
            normal = -normal
        share = float(np.hypot(*(a - b))) / root_width
        half = float(np.clip(share * 0.42, *SLEEVE_HALF)) * frame.half
        outer.append(point + normal * half)
        inner.append(point - normal * half)
    return np.array([*outer, *inner])


def covered_share(frame: BodyFrame, sleeve: Sleeve | None, side: int) -> float:
    """How much of the person's arm it covers: 0 at the shoulder, 1 at the wrist."""
    if sleeve is None:
        return 0.0
    covered = sleeve.worn
    if covered is None:
        arm = frame.arms[side]
        reach = float(np.hypot(*(arm[1] - arm[0])) + np.hypot(*(arm[2] - arm[1])))
        covered = sleeve.length * 2 * CHEST * frame.half / reach
    return 1.0 if covered > LONG_SLEEVE else max(0.15, covered)


def along_arm(arm: NDArray[Any], share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Point at a share of the way from shoulder over elbow to wrist, and the direction there."""
    upper, lower = arm[1] - arm[0], arm[2] - arm[1]
    first, second = float(np.hypot(*upper)) or 1.0, float(np.hypot(*lower)) or 1.0
    way = share * (first + second)
    # Around the elbow the direction turns gradually.
    turn = float(np.clip((way - first) / (0.3 * (first + second)) + 0.5, 0, 1))
    direction = (1 - turn) * upper / first + turn * lower / second
    direction /= float(np.hypot(*direction)) or 1.0
    point = arm[0] + upper * min(1.0, way / first) + lower * max(0.0, way - first) / second
    return point, direction


def _half_width(frame: BodyFrame, body: NDArray[Any], sign: int, down: float) -> float:
    """Half widths from the axis to the body's edge, within what a torso without arms has."""
    height, width = body.shape
    for across in np.arange(0.8, CHEST + 0.08, 0.02):
        x, y = frame.at(sign * across, down).round().astype(int)
        if not (0 <= x < width and 0 <= y < height) or not body[y, x]:
            return float(max(0.9, across + 0.02))
    return CHEST
