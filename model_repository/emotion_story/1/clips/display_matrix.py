"""Frames as their file says that they are shown: turned and mirrored. PyAV and numpy."""

from __future__ import annotations

import math
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Return the 3 x 3 matrix of a frame in fixed point, row by row; None where it has none."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else tuple(np.frombuffer(bytes(matrix), np.int32).tolist())


def upright(pixels: NDArray[Any], matrix: tuple[int, ...] | None) -> NDArray[Any]:
    """Pixels as they are shown, by the rule of FFmpeg's own tools (`autorotate`).

    Args:
        pixels: [height, width, 3].
        matrix: See `display_matrix`; it maps (x, y) to (ax + cy, bx + dy).
    """
    if matrix is None:
        return pixels
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    turn = round(_degrees(a, b, c, d) / 90) % 4
    if turn == 1:
        return pixels.swapaxes(0, 1) if c > 0 else np.rot90(pixels, -1)
    if turn == 3:
        return np.rot90(pixels, 2).swapaxes(0, 1) if c < 0 else np.rot90(pixels)
    if turn == 2 and a < 0:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if d < 0 else pixels


def _degrees(a: int, b: int, c: int, d: int) -> float:
    """Clockwise, as FFmpeg's `av_display_rotation_get` tells it with the other sign."""
    across, down = math.hypot(a, c), math.hypot(b, d)
    return math.degrees(math.atan2(b / down, a / across)) if across and down else 0.0
