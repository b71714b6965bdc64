"""The body behind a green mask, from the landmarks and from what can be seen around the mask.

A mask may be any shape: old clients send a rectangle from one arm to the other. What is garment,
body and background behind it is told by proportions, as no pixel of it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from body.drawing import ONE, pixel
from body.frame import BodyFrame, face_mask, hand_mask
from body.pose import HIPS, KNEES, WRISTS, BodyPose
from garment.parts import GarmentParts, along_arm, covered_share
from numpy.typing import NDArray
from tryon_errors import PoseError

HIDDEN_FACE = 0.25
"""Most share of the face that a mask may hide."""
SURE = 0.25
"""Least visibility of a wrist behind the mask that is not taken for a guess."""
ARM_HALF = (0.23, 0.12)
"""Half widths of a bare arm at shoulder and wrist, in half shoulder widths."""
GAP = 0.25
"""Widest gap, in half shoulder widths, between a part and what is seen of the body beside it."""
LOOSE = 0.06
"""Half shoulder widths between the body and a garment's outline."""
THIGH_HALF = 0.45
"""Half width of a thigh; the hips are as much wider than their joints."""
CROTCH = 1.22
"""Torso lengths below the shoulders."""
NECK_OUTLINE = (
    (-0.36, -0.95),
    (-0.38, -0.5),
    (-0.8, -0.2),
    (0.8, -0.2),
    (0.38, -0.5),
    (0.36, -0.95),
)
"""Half shoulder widths across and down."""


@dataclass(frozen=True)
class MaskedBody:
    """Where a body is, seen through the mask; each bool [height, width].

    Attributes:
        torso: From the neck to the garment's hem.
        sleeves: The arms as far as the garment's sleeves cover them.
        arms: The rest of each arm with its hand, the picture's left first.
        limit: As far from the body as a garment may reach.
        neck: With the face, as far as the mask hides it.
        legs: The hips and legs, and the torso where a garment is shorter than the mask.
        row: Where the legs come out of the mask, pixels.
    """

    torso: NDArray[Any]
    sleeves: NDArray[Any]
    arms: tuple[NDArray[Any], NDArray[Any]]
    limit: NDArray[Any]
    neck: NDArray[Any]
    legs: NDArray[Any]
    row: int


def hem_behind(frame: BodyFrame, green: NDArray[Any]) -> float:
    """Torso lengths from the shoulders to the picture's end, where the mask reaches it; else 0."""
    if _lowest(frame, green) < len(green) - 1:
        return 0.0
    return float((len(green) - frame.origin[1]) / (frame.length * frame.down[1]))


def outline_of(garment: NDArray[Any], frame: BodyFrame) -> NDArray[Any]:
    """Return a worn garment's outline without the steps between its torso and sleeves.

    Args:
        garment: bool [height, width].
        frame: Of the person.
    """
    across, down = frame.coordinates(garment.shape[1::-1])
    shoulders = (np.abs(across) > 0.55) & (down < 0.35)
    wide = round(0.5 * frame.half) | 1
    mask = garment.astype(np.uint8)
    round_wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    mask = np.where(shoulders, cv2.morphologyEx(mask, cv2.MORPH_CLOSE, round_wide), mask)
    small = round(0.25 * frame.half) | 1
    round_small = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (small, small))
    return np.where(shoulders, cv2.morphologyEx(mask, cv2.MORPH_OPEN, round_small), mask) > 0


def joined(
    part: NDArray[Any], seen: NDArray[Any], green: NDArray[Any], frame: BodyFrame
) -> NDArray[Any]:
    """Return a part with the gap up to what is seen of the body beside the mask.

    Args:
        part: bool [height, width].
        seen: bool, the person without the mask.
        green: bool, the mask.
        frame: Of the person.
    """
    across, down = frame.coordinates(green.shape[1::-1])
    beside = seen & (down > 0.05) & (down < 1.0) & (np.abs(across) > 0.8)
    small = round(0.12 * frame.half) | 1  # the networks see slivers of a body along the mask
    beside = cv2.morphologyEx(
        beside.astype(np.uint8),
        cv2.MORPH_OPEN,
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (small, small)),
    )
    wide = round(2 * GAP * frame.half) | 1
    ends = [_dilated(mask, (wide, 1)) for mask in (part, beside)]
    whole: NDArray[Any] = part | ends[0] & ends[1] & green
    return whole


def _dilated(mask: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    return cv2.dilate(mask.astype(np.uint8), np.ones(size[::-1], np.uint8)) > 0


def body_behind(
    frame: BodyFrame,
    pose: BodyPose,
    parts: GarmentParts,
    target: NDArray[Any],
    green: NDArray[Any],
) -> MaskedBody:
    """Return the body behind the mask.

    Args:
        frame: Of the person.
        pose: Of the person.
        parts: The garment.
        target: Where its torso's points are on the person, float64 [11, 2].
        green: bool [height, width], the mask.

    Raises:
        PoseError: The mask hides too much.
    """
    size = green.shape[1::-1]
    face = _seen_face(frame, green)
    middle = frame.at(0, -0.3 * frame.lift)
    order = [target[0], target[2], middle, *target[[3, 1, 6, 8, 10, 9, 7, 5]]]
    torso = _filled(order, size)
    sleeves, body = np.zeros(green.shape, bool), torso.copy()
    arms = []
    for side, sleeve in enumerate(parts.sleeves):
        share = covered_share(frame, sleeve, side)
        if sleeve is not None:
            sleeves |= _arm(frame, side, 0.0, share, size)
        if _guessed(pose, side, green):
            raise PoseError("the mask hides the arms")
        arm = _hand(frame, side, size)
        body |= _arm(frame, side, 0.0, 1.0, size)
        if share < 1:
            arm |= _arm(frame, side, max(0.0, share - 0.08), 1.0, size)
        seen = (pose.mask > 0.5) & ~green
        arms.append(joined(arm, seen, green, frame))
    neck = np.array([frame.at(across, down * frame.lift) for across, down in NECK_OUTLINE])
    row = _lowest(frame, green)
    wide = round(2 * LOOSE * frame.half) | 1
    return MaskedBody(
        torso=torso,
        sleeves=sleeves,
        arms=(arms[0], arms[1]),
        limit=_dilated(body, (wide, wide)),
        neck=_filled(list(neck), size) | face,
        legs=_legs(frame, pose, target, green, row),
        row=row,
    )


def _lowest(frame: BodyFrame, green: NDArray[Any]) -> int:
    """Return the first row below the mask in front of the hips."""
    x, y = np.meshgrid(np.arange(green.shape[1]), np.arange(green.shape[0]))
    near = (np.abs(x - frame.at(0, 1.0)[0]) < frame.half) & (y > frame.at(0, 0.3)[1])
    rows = np.flatnonzero((green & near).any(axis=1))
    return min(int(rows[-1]) + 1, len(green) - 1) if len(rows) else 0


def _legs(
    frame: BodyFrame, pose: BodyPose, target: NDArray[Any], green: NDArray[Any], row: int
) -> NDArray[Any]:
    """From the garment's middle down to where the body comes out of the mask."""
    height, width = green.shape
    if row == 0:
        return np.zeros(green.shape, bool)
    hips = pose.points[list(HIPS)[::-1]].astype(np.float64)
    knees = pose.points[list(KNEES)[::-1]].astype(np.float64)
    hands = hand_mask(frame, (width, height)) > 0
    seen = (pose.mask[row] > 0.5) & ~(green | hands)[row]
    edges = [
        _leg_at(hip, knee, row, seen, frame.half) for hip, knee in zip(hips, knees, strict=True)
    ]
    (left, inner_left), (inner_right, right) = edges
    outline_left, outline_right = [target[7]], [target[8]]
    if row > hips[:, 1].max():
        outline_left.append(hips[0] - THIGH_HALF * frame.half * frame.across)
        outline_right.append(hips[1] + THIGH_HALF * frame.half * frame.across)
    outline_left.append(np.array([left, row]))
    outline_right.append(np.array([right, row]))
    legs = _filled([*outline_left, *outline_right[::-1]], (width, height))
    crotch = frame.at(0, CROTCH)
    if inner_right - inner_left > 0.15 * frame.half and row > crotch[1]:
        gap = [crotch, np.array([inner_right, row]), np.array([inner_left, row])]
        legs &= ~_filled(gap, (width, height))
    return legs


def _leg_at(
    hip: NDArray[Any], knee: NDArray[Any], row: int, seen: NDArray[Any], half: float
) -> tuple[float, float]:
    """Left and right edge of a leg in a row, as seen there, or else as wide as a thigh."""
    share = float(np.clip((row - hip[1]) / max(1.0, knee[1] - hip[1]), 0, 1))
    center = float(hip[0] + share * (knee[0] - hip[0]))
    low, high = center - 1.3 * THIGH_HALF * half, center + 1.3 * THIGH_HALF * half
    place = int(np.clip(round(center), 0, len(seen) - 1))
    if not seen[place]:
        return center - THIGH_HALF * half, center + THIGH_HALF * half
    gaps = np.flatnonzero(~seen)
    before, after = gaps[gaps < place], gaps[gaps > place]
    left = float(before[-1] + 1) if len(before) else 0.0
    right = float(after[0] - 1) if len(after) else float(len(seen) - 1)
    return max(left, low), min(right, high)


def _arm(
    frame: BodyFrame, side: int, start: float, end: float, size: tuple[int, ...]
) -> NDArray[Any]:
    """Return a bare arm between two shares of its length."""
    outer, inner = [], []
    for share in np.linspace(start, end, 13):
        point, direction = along_arm(frame.arms[side], float(share))
        wide = (ARM_HALF[0] + share * (ARM_HALF[1] - ARM_HALF[0])) * frame.half
        normal = np.array([-direction[1], direction[0]]) * wide
        outer.append(point + normal)
        inner.append(point - normal)
    return _filled([*outer, *inner[::-1]], size)


def _hand(frame: BodyFrame, side: int, size: tuple[int, ...]) -> NDArray[Any]:
    hand = np.zeros(size[::-1], np.uint8)
    wrist, tips = frame.arms[side, 2], frame.hands[side]
    end = wrist + 1.15 * (tips.mean(0) - wrist)
    cv2.line(hand, pixel(wrist), pixel(end), ONE, max(3, round(0.26 * frame.half)))
    return hand > 0


def _seen_face(frame: BodyFrame, green: NDArray[Any]) -> NDArray[Any]:
    """Return the face, bool [height, width].

    Raises:
        PoseError: It is hidden.
    """
    face = face_mask(frame, green.shape[1::-1]) > 0
    if not face.any() or (face & green).sum() > HIDDEN_FACE * face.sum():
        raise PoseError("the mask hides the face")
    return face


def _guessed(pose: BodyPose, side: int, green: NDArray[Any]) -> bool:
    """Whether a hand is behind the mask without a trace; `side` 0 is the picture's left."""
    wrist = WRISTS[1 - side]
    return bool(pose.visibility[wrist] < SURE) and _hidden(pose.points[wrist], green)


def _hidden(point: NDArray[Any], green: NDArray[Any]) -> bool:
    """Whether a point is behind the mask, or outside the picture."""
    x, y = point.round().astype(int)
    height, width = green.shape
    return not (0 <= x < width and 0 <= y < height) or bool(green[y, x])


def _filled(outline: list[NDArray[Any]], size: tuple[int, ...]) -> NDArray[Any]:
    filled = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(filled, [np.array(outline).round().astype(np.int32)], ONE)
    return filled > 0
