"""Thin-plate splines on a coarse grid (Bookstein, 1989)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

STEP = 8
"""Pixels between grid nodes; between them the map is linear."""
STIFFNESS = 1e-3
"""Of the smoothing term, in units of the points' spread; keeps near points from folding it."""


def spline_maps(
    target: NDArray[Any], source: NDArray[Any], size: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where each pixel of the target comes from.

    Args:
        target: float [n, 2], points in the target picture.
        source: float [n, 2], the same points in the source picture.
        size: Width and height of the target.

    Returns:
        Two float32 [height, width] maps for `cv2.remap`.
    """
    width, height = size
    spread = float(np.abs(target - target.mean(0)).max()) or 1.0
    points = (target - target.mean(0)) / spread
    weights = _solve(points, source)
    columns, rows = -(-width // STEP) + 1, -(-height // STEP) + 1
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) * STEP
    nodes = (grid - target.mean(0)) / spread
    sources = (_basis(nodes, points) @ weights).reshape(rows, columns, 2).astype(np.float32)
    scale = np.array([[STEP, 0, 0], [0, STEP, 0]], np.float64)
    x, y = (
        cv2.warpAffine(
            np.ascontiguousarray(sources[..., axis]),
            scale,
            size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for axis in (0, 1)
    )
    return x, y


def _solve(points: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Weights of the kernels and of the affine part, float64 [n + 3, 2]."""
    count = len(points)
    system = np.zeros((count + 3, count + 3))
    system[:count] = _basis(points, points)
    system[:count, :count] += STIFFNESS * np.eye(count)
    system[count:, :count] = system[:count, count:].T
    right = np.zeros((count + 3, 2))
    right[:count] = values
    return np.linalg.lstsq(system, right, rcond=None)[0]


def _basis(places: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Kernel r^2 log r^2 of every pair, then 1, x, y."""
    squared = ((places[:, None] - points[None]) ** 2).sum(-1)
    kernel = squared * np.log(np.maximum(squared, 1e-12))
    return np.concatenate([kernel, np.ones((len(places), 1)), places], axis=1)
