"""Parts and quarter turns of a picture, and faces on them → faces on the picture. numpy only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from face_detection import Faces
from numpy.typing import NDArray

OVERLAP = 0.15
"""Of a tile's side with the next one; larger faces were found in the picture as a whole."""


def turned_points(points: NDArray[Any], turns: int, size: tuple[int, int]) -> NDArray[Any]:
    """Where points of a picture are after `np.rot90(picture, turns)`.

    Args:
        points: [..., 2], x and y in pixels.
        turns: Quarter turns against the clock; negative ones with the clock.
        size: Height and width of the picture before.
    """
    height, width = size
    x, y = points[..., 0], points[..., 1]
    places = ((x, y), (y, width - x), (width - x, height - y), (height - y, x))
    return np.stack(places[turns % 4], axis=-1)


def turned_size(size: tuple[int, int], turns: int) -> tuple[int, int]:
    """Height and width after quarter turns."""
    return (size[1], size[0]) if turns % 2 else size


def turned_faces(faces: Faces, turns: int, size: tuple[int, int]) -> Faces:
    """Faces of a picture after `np.rot90(picture, turns)`; arguments as of `turned_points`."""
    corners = turned_points(faces.boxes.reshape(-1, 2, 2), turns, size)
    boxes = np.hstack((corners.min(axis=1), corners.max(axis=1)))
    return Faces(boxes, faces.scores, turned_points(faces.landmarks, turns, size))


def moved(faces: Faces, left: int, top: int) -> Faces:
    """Faces of a part, on the picture that it begins at this place of."""
    shift = np.array((left, top), dtype=np.float32)
    return Faces(faces.boxes + np.tile(shift, 2), faces.scores, faces.landmarks + shift)


def joined(parts: list[Faces]) -> Faces:
    """Faces of several parts in one list; at least one part."""
    return Faces(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )


def tiles(size: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """Squares that cover a picture and overlap, those in the middle first.

    Args:
        size: Height and width of the picture in pixels.
        side: Of the squares.

    Returns:
        Rows and columns of each.
    """
    down, across = (_starts(length, side) for length in size)
    middle = [(length - side) / 2 for length in size]
    places = [(top, left) for top in down for left in across]
    places.sort(key=lambda place: math.hypot(place[0] - middle[0], place[1] - middle[1]))
    return [(slice(top, top + side), slice(left, left + side)) for top, left in places]


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    steps = math.ceil((length - side) / (side * (1 - OVERLAP)))
    return [round(step * (length - side) / steps) for step in range(steps + 1)]


def around(box: NDArray[Any], size: tuple[int, int], reach: float) -> tuple[slice, slice]:
    """Rows and columns of a square around a box, cut off at the picture's borders.

    Args:
        box: [4], left, top, right, bottom in pixels; at least partly in the picture.
        size: Height and width of the picture.
        reach: Half the square's side, in longer sides of the box.
    """
    half = reach * float((box[2:] - box[:2]).max())
    spans = []
    for middle, length in zip((box[:2] + box[2:]) / 2, (size[1], size[0]), strict=True):
        first = min(max(0, math.floor(middle - half)), length - 1)
        spans.append(slice(first, max(first + 1, min(length, math.ceil(middle + half)))))
    return spans[1], spans[0]
