"""Finds what somebody wears on the upper body, and what of the person must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from body.drawing import NOTHING, ONE, pixel
from body.frame import BodyFrame, face_mask, hand_mask
from body.pose import BodyPose
from numpy.typing import NDArray
from tryon_errors import GarmentError

from garment.parts import ARMPIT, CHEST, NECK, TIP, GarmentParts, Sleeve, along_arm

SKIN_DISTANCE = 3.0
"""Mahalanobis distance from the face's colour, in a* and b*, up to which a pixel is skin."""
ITERATIONS = 3
CUT_SIDE = 640
"""Longest side in pixels at which garments are cut out."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class WornGarment:
    """What covers the upper body.

    Attributes:
        mask: uint8 [height, width], 1 on the garment.
        skin: bool [height, width], pixels in the colour of the face.
        person: bool [height, width].
    """

    mask: NDArray[Any]
    skin: NDArray[Any]
    person: NDArray[Any]


def find_worn(picture: NDArray[Any], pose: BodyPose, frame: BodyFrame, seed: int) -> WornGarment:
    """Return the garment on a person's upper body, all layers of it.

    Args:
        picture: uint8 RGB [height, width, 3].
        pose: Of the person in it.
        frame: Of that pose.
        seed: Of OpenCV's random numbers, so that the same input gives the same mask.
    """
    size = picture.shape[1::-1]
    person = pose.mask > 0.5
    skin = skin_mask(picture, frame)
    across, down = frame.coordinates(size)
    core = (np.abs(across) < 0.55) & (down > 0.12) & (down < 0.8)
    bare, alike = skin, False
    if skin[core].mean() > 0.15:  # a garment in the colour of skin
        bare = skin & (down < -0.1)
        alike = True
    hands = (hand_mask(frame, size) > 0) & skin
    labels = _seeds(pose.mask, bare, across, down, core, frame)
    if alike:  # colours do not tell it from face and hands, places must
        arms = (np.abs(across) > 0.8) & (down > 0)
        labels[(labels == cv2.GC_PR_FGD) & (pose.mask > 0.6) & arms] = cv2.GC_FGD
    labels[hands] = cv2.GC_BGD
    mask = _grab_cut(picture, labels, seed)
    mask = _largest(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)))
    # Trousers of a similar colour: what hangs below the hips is as wide as a hem, or no garment.
    wide = np.ones((1, round(0.9 * frame.half) | 1), np.uint8)
    hem = (down > 0.95) & (np.abs(across) < 0.45)
    mask = np.where(hem, cv2.morphologyEx(mask, cv2.MORPH_OPEN, wide), mask)
    return WornGarment(mask, skin, person)


def skin_mask(picture: NDArray[Any], frame: BodyFrame) -> NDArray[Any]:
    """Return a mask, bool [height, width]: pixels in the colour of the face."""
    nose, mouth = frame.face[0], frame.face[3:].mean(0)
    radius = max(3, round(float(np.hypot(*(frame.face[1] - frame.face[2]))) * 0.28))
    spot = np.zeros(picture.shape[:2], np.uint8)
    center = (nose * 1.35 - mouth * 0.35).round().astype(int)
    cv2.circle(spot, (int(center[0]), int(center[1])), radius, ONE, -1)
    lab = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 1.5), cv2.COLOR_RGB2LAB)
    if not spot.any():
        return np.zeros(picture.shape[:2], bool)
    sample = lab[spot > 0].astype(np.float32)
    bright = sample[:, 0] >= np.percentile(sample[:, 0], 30)  # without beard, eyes and brows
    sample = sample[bright]
    mean, spread = sample[:, 1:].mean(0), np.cov(sample[:, 1:].T) + 9 * np.eye(2)
    apart = lab[..., 1:].astype(np.float32) - mean
    inverse = np.linalg.inv(spread).astype(np.float32)
    distance = np.einsum("hwi,ij,hwj->hw", apart, inverse, apart, optimize=True)
    light = lab[..., 0] > 0.45 * np.median(sample[:, 0])
    skin: NDArray[Any] = (distance < SKIN_DISTANCE**2) & light
    return skin


def hem_of(mask: NDArray[Any], frame: BodyFrame) -> float:
    """Torso lengths from the shoulders to a worn garment's hem, 0 where there is none.

    Args:
        mask: uint8 [height, width], 1 on the garment.
        frame: Of the person.
    """
    across, down = frame.coordinates(mask.shape[1::-1])
    rows = down[(mask > 0) & (np.abs(across) < 0.8) & (down > 0)]
    return float(np.percentile(rows, 99)) if len(rows) else 0.0


def _seeds(
    body: NDArray[Any],
    skin: NDArray[Any],
    across: NDArray[Any],
    down: NDArray[Any],
    core: NDArray[Any],
    frame: BodyFrame,
) -> NDArray[Any]:
    """Return what GrabCut starts from, uint8 [height, width] of its labels."""
    size = body.shape[1::-1]
    zone = (np.abs(across) < 1.35) & (down > -0.62 * frame.lift) & (down < 1.3)
    arms = np.zeros(body.shape, np.uint8)
    for shoulder, elbow, wrist in frame.arms.round().astype(int):
        cv2.line(arms, pixel(shoulder), pixel(elbow), ONE, _odd(frame.half, 0.95))
        end = wrist + (wrist - elbow) // 5  # cuffs reach beyond the wrist
        cv2.line(arms, pixel(elbow), pixel(end), ONE, _odd(frame.half, 0.8))
    zone |= arms > 0
    labels = np.full(body.shape, cv2.GC_BGD, np.uint8)
    likely = zone & (body > 0.3)
    labels[likely] = cv2.GC_PR_FGD
    # Legs: beside the arms nothing below the hips is likely.
    labels[likely & (down > 1.05) & (arms == 0)] = cv2.GC_PR_BGD
    labels[likely & skin & ~core] = cv2.GC_PR_BGD
    labels[core & (body > 0.5) & ~skin] = cv2.GC_FGD
    labels[face_mask(frame, size) > 0] = cv2.GC_BGD
    return labels


def _grab_cut(picture: NDArray[Any], labels: NDArray[Any], seed: int) -> NDArray[Any]:
    """uint8 [height, width], 1 on the foreground; computed in a smaller picture."""
    height, width = labels.shape
    ys, xs = np.nonzero(labels)
    pad = max(8, (ys[-1] - ys[0]) // 8)
    top, bottom = max(0, ys.min() - pad), min(height, ys.max() + pad)
    left, right = max(0, xs.min() - pad), min(width, xs.max() + pad)
    part = np.ascontiguousarray(picture[top:bottom, left:right])
    scale = min(0.5, CUT_SIDE / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    marks = cv2.resize(
        labels[top:bottom, left:right], small.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )
    garment = cut_out(small, marks, seed)
    back = cv2.resize(garment * 255, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    back = cv2.GaussianBlur(back, (0, 0), 1.0 / scale)  # without the steps of the small picture
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = back > 127
    return mask


def cut_out(picture: NDArray[Any], labels: NDArray[Any], seed: int) -> NDArray[Any]:
    """GrabCut (Rother et al., 2004) from `labels`; uint8 [height, width], 1 on the foreground."""
    certain = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not certain.any() or certain.all():
        return certain.astype(np.uint8)
    marks = labels.copy()
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(seed % 2**31)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    cv2.grabCut(bgr, marks, NOTHING, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _largest(mask: NDArray[Any]) -> NDArray[Any]:
    """Return the largest part, and others of at least a twentieth of it (cut-off sleeves)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = 1 + np.flatnonzero(areas >= areas.max() / 20)
    return np.isin(labels, keep).astype(np.uint8)


def _odd(length: float, share: float) -> int:
    return max(3, round(length * share) | 1)


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
