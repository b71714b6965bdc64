"""Photometric variants of a face, so that its vector is about the person and not the light.

Each enrolled picture counts six times: as it is, brighter, darker with noise, blurred, warmer and
compressed. The replaced server altered whole pictures and searched the face anew in each; here
only the part around the face is altered, and its landmarks stay. Blurring went with a shift and
an enlargement of the whole picture, which the alignment takes back: only the blur is left of it.

numpy and OpenCV only.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faces.alignment import reduced, region_of, shifted, warped

BRIGHTER, DARKER = 1.25, 0.80
NOISE = 12.0
"""Standard deviation in grey levels."""
NOISE_SEED = 42
WARMER_HUE, WARMER_SATURATION = 8, 1.12
"""Added to OpenCV's hue, which goes from 0 to 179, and factor of its saturation."""
QUALITY = 50
"""Of the JPEG."""
BLUR = (5, 5)
"""Pixels of the Gaussian kernel; OpenCV derives a standard deviation of 1.1 pixels."""

NAMES = ("original", "bright", "dark_noisy", "blur_shift", "warm", "compressed")
"""Of the crops of a picture, in order; only the first one without variants."""

PIXELS_PER_CROP_PIXEL = 4.0
"""Larger faces are averaged down before they are altered, which bounds time and memory."""
_MARGIN, _BLOCK = 8, 16
"""A region ends at blocks of JPEG's, as the whole picture's would."""


def _levels(factor: float) -> NDArray[Any]:
    """Table of a scaled channel, cut off at 255."""
    return np.minimum(np.arange(256) * factor, 255).astype(np.uint8)


_BRIGHTER, _DARKER = _levels(BRIGHTER), _levels(DARKER)
_SATURATED = _levels(WARMER_SATURATION)
_HUES = ((np.arange(256) + WARMER_HUE) % 180).astype(np.uint8)
_NOISE = np.random.default_rng(NOISE_SEED).normal(0, NOISE, (512, 512, 3)).round().astype(np.int16)


def face_crops(image: NDArray[Any], matrix: NDArray[Any], *, varied: bool) -> NDArray[Any]:
    """Aligned crops of one face.

    Args:
        image: UINT8 [height, width, 3], RGB.
        matrix: Similarity from the picture to the crop.
        varied: Whether the variants follow the original.

    Returns:
        UINT8 [6 or 1, 112, 112, 3] in the order of `NAMES`.
    """
    height, width = image.shape[:2]
    region = region_of(matrix, height, width, _MARGIN, _BLOCK)
    part, matrix = reduced(image[region], shifted(matrix, region), PIXELS_PER_CROP_PIXEL)
    parts = _variants(np.ascontiguousarray(part)) if varied else [part]
    return np.stack([warped(part, matrix) for part in parts])


def _variants(image: NDArray[Any]) -> list[NDArray[Any]]:
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    brighter = _rgb(hue, saturation, cv2.LUT(value, _BRIGHTER))
    darker = _rgb(hue, saturation, cv2.LUT(value, _DARKER))
    warmer = _rgb(cv2.LUT(hue, _HUES), cv2.LUT(saturation, _SATURATED), value)
    blurred = cv2.GaussianBlur(image, BLUR, 0)
    noisy = cv2.add(darker, _noise(image.shape), dtype=cv2.CV_8U)
    return [image, brighter, noisy, blurred, warmer, _compressed(image)]


def _rgb(hue: NDArray[Any], saturation: NDArray[Any], value: NDArray[Any]) -> NDArray[Any]:
    return cv2.cvtColor(cv2.merge((hue, saturation, value)), cv2.COLOR_HSV2RGB)


def _noise(shape: tuple[int, ...]) -> NDArray[Any]:
    height, width = shape[:2]
    if height > _NOISE.shape[0] or width > _NOISE.shape[1]:
        across, down = (max(0, size - 512) for size in (width, height))
        return cv2.copyMakeBorder(_NOISE, 0, down, 0, across, cv2.BORDER_WRAP)[:height, :width]
    return _NOISE[:height, :width]


def _compressed(image: NDArray[Any]) -> NDArray[Any]:
    _, file = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
