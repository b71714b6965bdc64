"""Cuts a garment out of a product photo and finds its torso and sleeves."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from body.drawing import ONE
from numpy.typing import NDArray
from tryon_errors import GarmentError

from garment.parts import GarmentParts, Sleeve
from garment.shadow import shadow_of
from garment.worn import cut_out

CUT_SIDE = 512
"""Longest side in pixels at which the garment is cut out."""
PLAIN = 14.0
"""Most spread (Lab, 80th percentile from the median) of a background that is taken for plain."""
SMOOTH = 9
"""Pixels over which the outline is made smooth."""
SECTIONS = (0.35, 0.7, 1.0)
"""Where a sleeve's edges are measured, from its root to its end."""


def cut_flat(picture: NDArray[Any], alpha: NDArray[Any] | None, seed: int) -> NDArray[Any]:
    """Return the garment of a photo with a plain background.

    Args:
        picture: uint8 RGB [height, width, 3].
        alpha: uint8 [height, width] of a picture that is cut out already.
        seed: Of OpenCV's random numbers.

    Returns:
        uint8 [height, width], 1 on the garment.

    Raises:
        GarmentError: Nothing on a plain background, or nothing in one piece.
    """
    if alpha is not None and (alpha < 128).mean() > 0.02:
        return _one_piece((alpha >= 128).astype(np.uint8))
    scale = min(1.0, CUT_SIDE / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    labels = _seeds(small)
    garment: NDArray[Any] = cut_out(small, labels, seed) * ~shadow_of(small, labels)
    likely = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    if garment.sum() < 0.6 * likely.sum():  # as light as its background: the outline must do
        garment = likely
    garment = cv2.medianBlur(_one_piece(garment), SMOOTH)
    back = cv2.resize(garment * 255, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return (back > 127).astype(np.uint8)


def _seeds(picture: NDArray[Any]) -> NDArray[Any]:
    lab = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 1), cv2.COLOR_RGB2LAB).astype(np.float32)
    ring = np.ones(lab.shape[:2], bool)
    ring[6:-6, 6:-6] = False
    # The background may be lit unevenly: a plane through the border's colours.
    y, x = np.mgrid[: lab.shape[0], : lab.shape[1]].astype(np.float32)
    terms = np.stack([np.ones_like(x), x / x.max(), y / y.max()], -1)
    edge, where = lab[ring], terms[ring]
    keep = np.linalg.norm(edge - np.median(edge, 0), axis=1) < 40
    plane = np.linalg.lstsq(where[keep], edge[keep], rcond=None)[0]
    apart = np.linalg.norm(lab - terms @ plane, axis=-1)
    spread = float(np.percentile(apart[ring], 80))
    if spread > PLAIN:
        raise GarmentError("the background of the garment photo is not plain")
    low = float(np.clip(2.5 * spread, 4.5, 24))
    labels = np.where(apart > low, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[apart < low / 3] = cv2.GC_BGD
    labels[apart > max(30.0, 2 * low)] = cv2.GC_FGD
    labels[:3] = labels[-3:] = cv2.GC_BGD
    labels[:, :3] = labels[:, -3:] = cv2.GC_BGD
    # Shadows and prints: what the outline encloses belongs to it.
    outline: NDArray[Any] = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    outline = cv2.morphologyEx(outline, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    outline = _filled(cv2.morphologyEx(outline, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8)))
    inner = cv2.erode(outline, np.ones((9, 9), np.uint8)) > 0
    labels[(labels == cv2.GC_PR_FGD) & (outline == 0)] = cv2.GC_PR_BGD
    labels[inner & (labels == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
    labels[inner & (labels == cv2.GC_BGD)] = cv2.GC_PR_FGD
    return labels


def _one_piece(mask: NDArray[Any]) -> NDArray[Any]:
    """Return the largest piece without holes.

    Raises:
        GarmentError: It is too small, too large, in pieces, or runs out of the picture.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        raise GarmentError("there is no garment in the picture")
    areas = stats[1:, cv2.CC_STAT_AREA]
    best = int(np.argmax(areas))
    piece = (labels == 1 + best).astype(np.uint8)
    share = areas[best] / mask.size
    if not 0.03 < share < 0.92:
        raise GarmentError("there is no garment in the picture")
    if areas[best] < 0.6 * areas.sum():
        raise GarmentError("there are several things in the garment picture")
    border = np.concatenate([piece[4], piece[-5], piece[:, 4], piece[:, -5]])
    if border.mean() > 0.35:
        raise GarmentError("the garment runs out of the picture")
    return _filled(cv2.morphologyEx(piece, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))


def flat_parts(mask: NDArray[Any]) -> GarmentParts:
    """Torso and sleeves of a garment that lies flat or hangs, the collar up.

    Raises:
        GarmentError: The outline is none of a top.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1])
    tall = bottom - top
    columns = np.flatnonzero(mask.any(axis=0))
    wide = int(columns[-1] - columns[0])
    if tall < 32 or not 0.45 < wide / tall < 3.2:
        raise GarmentError("the outline is none of a top")
    middle = _axis(mask, top, tall)
    low, high = top + int(0.6 * tall), top + int(0.93 * tall)
    runs = np.array([_run(mask, y, middle) for y in range(low, high)])
    widths = runs[:, 1] - runs[:, 0]  # sleeves may touch the torso in some rows
    left, right = np.median(runs[widths <= np.percentile(widths, 8)], axis=0)
    center, half = (left + right) / 2, (right - left) / 2
    if half > 0.42 * wide and wide > 0.8 * tall:  # long sleeves touch the torso all the way
        center, half = middle, 0.3 * wide
    bottom = int(min(_bottom(mask, center + share * half) for share in (-0.7, 0.0, 0.7)))
    if half < 0.1 * wide:
        raise GarmentError("the outline is none of a top")
    armpit = _armpit(mask, top, tall, center, half)
    edges = []
    for share in (0.0, 0.5, 0.92):
        y = armpit + share * (bottom - armpit)
        a, b = _run(mask, int(y), center)
        a, b = max(a, center - 1.1 * half), min(b, center + 1.1 * half)
        if b - a < 1.5 * half:
            a, b = center - half, center + half
        edges.append(((a, y), (b, y)))
    tips = [(x, _top(mask, x)) for x in (center - 0.9 * half, center + 0.9 * half)]
    neck = [(x, _top(mask, x)) for x in (center - 0.42 * half, center + 0.42 * half)]
    hem = _bottom(mask, center)
    torso = np.array([*tips, *neck, (center, _top(mask, center)), *edges[0], *edges[1], *edges[2]])
    region = np.zeros(mask.shape, np.uint8)
    outline = [
        (tips[0][0], top - 2),
        (tips[1][0], top - 2),
        tips[1],
        edges[0][1],
        edges[1][1],
        edges[2][1],
        (edges[2][1][0], bottom + 2),
        (edges[2][0][0], bottom + 2),
        edges[2][0],
        edges[1][0],
        edges[0][0],
        tips[0],
    ]
    cv2.fillPoly(region, [np.array(outline).round().astype(np.int32)], ONE)
    edge = max(3, round(0.006 * max(mask.shape)) | 1)
    mask = cv2.erode(mask, np.ones((edge, edge), np.uint8))  # its edge is half background
    grown = cv2.dilate(region, np.ones((7, 7), np.uint8))
    sleeves = tuple(
        _sleeve(mask, region, np.array(tips[side]), np.array(edges[0][side]), side, half)
        for side in (0, 1)
    )
    scale_rows = (hem - np.mean([tip[1] for tip in tips])) / (2 * half)
    return GarmentParts(mask * grown, torso, scale_rows, sleeves)


def _sleeve(
    mask: NDArray[Any],
    torso: NDArray[Any],
    tip: NDArray[Any],
    pit: NDArray[Any],
    side: int,
    half: float,
) -> Sleeve | None:
    """Return the sleeve beyond the line from shoulder tip to armpit; None without one."""
    x = np.arange(mask.shape[1])
    outside = x < (tip[0] + pit[0]) / 2 if side == 0 else x > (tip[0] + pit[0]) / 2
    part = mask * (1 - torso) * outside[None].astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(part)
    if count < 2:
        return None
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[best, cv2.CC_STAT_AREA] < 0.08 * half * half:
        return None
    part = (labels == best).astype(np.uint8)
    ys, xs = np.nonzero(part)
    pixels = np.column_stack([xs, ys]).astype(np.float64)
    root = (tip + pit) / 2
    away = np.hypot(*(pixels - root).T)
    end = pixels[away >= np.percentile(away, 96)].mean(0)
    length = float(np.hypot(*(end - root)))
    axis = (end - root) / length
    normal = np.array([-axis[1], axis[0]])
    if normal[0] * (-1 if side == 0 else 1) < 0:
        normal = -normal  # the outer edge is away from the torso
    along, over = (pixels - root) @ axis, (pixels - root) @ normal
    length = float(np.percentile(along, 99))
    outer, inner = [tip], [pit]
    for share in SECTIONS:
        near = np.abs(along - min(share, 0.95) * length) < max(2.0, 0.04 * length)
        spread = over[near] if near.any() else np.array([-0.2, 0.2]) * half
        place = root + axis * share * length
        outer.append(place + normal * np.percentile(spread, 98))
        inner.append(place + normal * np.percentile(spread, 2))
    grown = cv2.dilate(part, np.ones((9, 9), np.uint8))  # up to the seam, over the torso
    return Sleeve(
        grown * mask, np.array(outer), np.array(inner), length / (2 * half), (0.0, *SECTIONS)
    )


def _axis(mask: NDArray[Any], top: int, tall: int) -> float:
    """Column of the middle: that of the lower half, where sleeves weigh the same on both sides."""
    lower = mask[top + int(0.15 * tall) :]
    return float(np.median(np.nonzero(lower)[1]))


def _run(mask: NDArray[Any], y: int, center: float) -> tuple[float, float]:
    """First and last column of the piece of row `y` around `center`."""
    row = mask[min(max(y, 0), mask.shape[0] - 1)]
    place = int(np.clip(center, 0, len(row) - 1))
    if not row[place]:
        filled = np.flatnonzero(row)
        if len(filled) == 0:
            return center, center
        place = int(filled[np.argmin(np.abs(filled - place))])
    gaps = np.flatnonzero(row == 0)
    before, after = gaps[gaps < place], gaps[gaps > place]
    left = int(before[-1]) + 1 if len(before) else 0
    right = int(after[0]) - 1 if len(after) else len(row) - 1
    return float(left), float(right)


def _armpit(mask: NDArray[Any], top: int, tall: int, center: float, half: float) -> float:
    """Row where the torso parts from the sleeves."""
    for y in range(top + int(0.7 * tall), top + int(0.18 * tall), -1):
        left, right = _run(mask, y, center)
        if right - left > 2.36 * half:
            # A sleeve that hangs along the torso hides where it begins.
            return float(y + 1 if y < top + 0.46 * tall else top + 0.36 * tall)
    return top + 0.3 * tall


def _top(mask: NDArray[Any], x: float) -> float:
    column = mask[:, int(np.clip(x, 0, mask.shape[1] - 1))]
    return float(np.argmax(column > 0))


def _bottom(mask: NDArray[Any], x: float) -> float:
    column = mask[:, int(np.clip(x, 0, mask.shape[1] - 1))]
    return float(len(column) - 1 - np.argmax(column[::-1] > 0))


def _filled(mask: NDArray[Any]) -> NDArray[Any]:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, outlines, -1, ONE, -1)
    return filled
