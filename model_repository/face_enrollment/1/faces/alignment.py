"""Face landmarks → upright crops of one size, as networks of the ArcFace family were trained on.

numpy and OpenCV only.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 112
"""Of a crop in pixels."""

STEP = 2.0
"""Pixels of a picture between the places that a crop is interpolated at."""

# Where the landmarks of a face are in its crop: `arcface_dst` of InsightFace's
# python-package/insightface/utils/face_align.py.
TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ],
    dtype=np.float64,
)


def similarity(source: NDArray[Any], target: NDArray[Any] = TEMPLATE) -> NDArray[Any]:
    """Rotation, scale and shift that bring points closest to others, by least squares.

    The solution of Umeyama (1991, IEEE TPAMI 13:376) without reflection, in closed form for the
    plane.

    Args:
        source: [n, 2], x and y.
        target: [n, 2].

    Returns:
        FP64 [2, 3]: target = matrix @ (x, y, 1).

    Raises:
        ValueError: All source points are one.
    """
    source, target = source.astype(np.float64), target.astype(np.float64)
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    x, y = (source - middle).T
    u, v = (target - goal).T
    spread = (x * x + y * y).sum()
    if not spread > 0:
        raise ValueError("the landmarks are one point")
    cosine, sine = (x * u + y * v).sum() / spread, (x * v - y * u).sum() / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack((turn, (goal - turn @ middle)[:, None]))


def scale_of(matrix: NDArray[Any]) -> float:
    """Target pixels per source pixel of a similarity."""
    return math.hypot(matrix[0, 0], matrix[1, 0])


def region_of(
    matrix: NDArray[Any], height: int, width: int, margin: int, multiple: int
) -> tuple[slice, slice]:
    """Rows and columns of a picture that a crop is made of.

    Args:
        matrix: [2, 3], picture to crop.
        height: Of the picture in pixels.
        width: Likewise.
        margin: Further pixels on every side.
        multiple: The region begins and ends at multiples of this, or at the picture's border.
    """
    corners = np.array([(0, 0), (SIDE, 0), (0, SIDE), (SIDE, SIDE)], dtype=np.float64)
    back = cv2.invertAffineTransform(matrix)
    places = corners @ back[:, :2].T + back[:, 2]
    spans = []
    for low, high, size in zip(places.min(0), places.max(0), (width, height), strict=True):
        first = math.floor((low - margin) / multiple) * multiple
        last = math.ceil((high + margin) / multiple) * multiple
        first = min(max(first, 0), size - 1)
        spans.append(slice(first, max(min(last, size), first + 1)))
    return spans[1], spans[0]


def shifted(matrix: NDArray[Any], region: tuple[slice, slice]) -> NDArray[Any]:
    """Return the similarity from a region of the picture."""
    rows, columns = region
    offset = matrix[:, :2] @ (columns.start, rows.start)
    return np.hstack((matrix[:, :2], (matrix[:, 2] + offset)[:, None]))


def reduced(
    image: NDArray[Any], matrix: NDArray[Any], finest: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Averages a picture down to a resolution.

    Args:
        image: UINT8 [height, width, 3].
        matrix: [2, 3], picture to crop.
        finest: Pixels per crop pixel to keep; a coarser picture stays as it is.

    Returns:
        The smaller picture and its similarity to the crop.
    """
    factor = finest * scale_of(matrix)
    if factor >= 1:
        return image, matrix
    height, width = image.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # As in `warped`.
    across, down = width / size[0], height / size[1]
    grow = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    return smaller, matrix @ grow


def warped(image: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the crop: UINT8 [112, 112, 3], black where the picture ends.

    Interpolated bilinearly at several places of each crop pixel, no more than `STEP` apart, and
    averaged: one place alone would alias.
    """
    count = max(1, math.ceil(1 / scale_of(matrix) / STEP))
    middle = (count - 1) / 2  # pixel centres are at whole numbers here
    grow = np.array([[count, 0, middle], [0, count, middle]])
    fine = cv2.warpAffine(
        image,
        grow[:, :2] @ matrix + [[0, 0, middle]] * 2,
        (SIDE * count, SIDE * count),
        flags=cv2.INTER_LINEAR,
    )
    return cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA) if count > 1 else fine
