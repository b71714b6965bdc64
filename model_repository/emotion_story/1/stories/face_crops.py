"""Faces of a picture → square crops for the expression classifier. numpy and OpenCV only."""

from __future__ import annotations

from typing import Any

import cv2
from numpy.typing import NDArray


def square_crop(image: NDArray[Any], box: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the square around a face that is as long as the longer side of its box.

    Args:
        image: UINT8 [height, width, 3].
        box: FP32 [4], left, top, right, bottom in pixels; may leave the picture.
        side: Of the result in pixels.

    Returns:
        UINT8 [side, side, 3]; what is outside the picture repeats its border.
    """
    left, top, right, bottom = (float(edge) for edge in box)
    length = max(1, round(max(right - left, bottom - top)))
    x, y = round((left + right - length) / 2), round((top + bottom - length) / 2)
    height, width = image.shape[:2]
    inside = image[max(y, 0) : max(y + length, 0), max(x, 0) : max(x + length, 0)]
    if not inside.size:
        raise ValueError("a face outside the picture")
    missing = (-min(y, 0), max(y + length - height, 0), -min(x, 0), max(x + length - width, 0))
    if any(missing):
        inside = cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE)
    # Area averaging does not alias, but is no interpolation where pixels are added.
    kind = cv2.INTER_AREA if length > side else cv2.INTER_LINEAR
    return cv2.resize(inside, (side, side), interpolation=kind)
