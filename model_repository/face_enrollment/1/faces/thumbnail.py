"""The small portrait that goes with a face vector. numpy, OpenCV and Pillow only."""

from __future__ import annotations

import io
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128
"""Of the thumbnail in pixels."""
QUALITY = 85
"""Of the JPEG."""
_FINEST = 4
"""Pixels of a face per pixel of the thumbnail that are read; more only cost time."""


def face_thumbnail(image: NDArray[Any], box: NDArray[Any], landmarks: NDArray[Any]) -> bytes:
    """Return a JPEG of a face with its eyes level.

    Args:
        image: UINT8 [height, width, 3], RGB.
        box: [4], left, top, right, bottom.
        landmarks: [5, 2], the eyes first.
    """
    across, down = landmarks[1].astype(np.float64) - landmarks[0]
    middle, extent = (box[:2] + box[2:]) / 2.0, np.maximum(box[2:] - box[:2], 1.0)
    scale = min(1.0, SIDE * _FINEST / extent.max())
    width, height = (max(1, round(side * scale)) for side in extent.tolist())
    part, middle = _around(image, middle, math.hypot(*extent) / 2 + 1)
    angle = math.degrees(math.atan2(down, across))
    turn: NDArray[Any] = cv2.getRotationMatrix2D(middle.tolist(), angle, scale)
    turn[:, 2] += np.array((width, height)) / 2 - middle
    upright = cv2.warpAffine(part, turn, (width, height), flags=cv2.INTER_LINEAR)
    return thumbnail(upright)


def _around(
    image: NDArray[Any], middle: NDArray[Any], reach: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the part of a picture within `reach` pixels of a place, and the place in it.

    OpenCV turns no picture of more than 32,766 pixels a side.
    """
    height, width = image.shape[:2]
    left, top = (max(0, math.floor(value - reach)) for value in middle)
    right, bottom = (math.ceil(value + reach) for value in middle)
    left, top = min(left, width - 1), min(top, height - 1)
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    return part, middle - (left, top)


def thumbnail(image: NDArray[Any]) -> bytes:
    """Return a JPEG of a picture, fitted into the middle of a white square, never enlarged.

    Args:
        image: UINT8 [height, width, 3], RGB.
    """
    portrait = Image.fromarray(image)
    portrait.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    canvas.paste(portrait, ((SIDE - portrait.width) // 2, (SIDE - portrait.height) // 2))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
