"""How masks are drawn with OpenCV, in its types."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

ONE = (1,)
"""What is drawn into a mask."""
NOTHING = (0, 0, 0, 0)
"""A rectangle where none is needed."""


def pixel(point: NDArray[Any]) -> tuple[int, int]:
    """Return the pixel, x and y, that holds a point."""
    x, y = point.round().astype(int).tolist()
    return x, y
