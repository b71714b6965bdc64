"""Encoded pictures of one request → pixels no larger than needed, or which of them is bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pictures.decoding import ImageError, decode
from PIL import Image

MAX_IMAGES = 128


class IndexedImageError(ImageError):
    """A picture that cannot be used; the text is `code: index=<n>: reason`."""

    def __init__(self, index: int, code: str, reason: str) -> None:
        super().__init__(code, f"index={index}: {reason}")


def decode_all(files: Sequence[bytes], max_pixels: int, side: int) -> list[NDArray[Any]]:
    """Decode pictures one after another, upright and in sRGB.

    Args:
        files: Encoded pictures.
        max_pixels: Largest width x height; checked in the header, before any decoding.
        side: Longer side of the results in pixels; smaller pictures are not enlarged.

    Returns:
        UINT8 [height, width, 3] each.

    Raises:
        IndexedImageError: The first one that cannot be used.
    """
    if len(files) > MAX_IMAGES:
        raise IndexedImageError(MAX_IMAGES, "image_excess", f"more than {MAX_IMAGES} images")
    images = []
    for index, file in enumerate(files):
        try:
            image = decode(file, max_pixels, srgb=True)
        except ImageError as error:
            raise IndexedImageError(index, error.code, "cannot be used") from error
        image.thumbnail((side, side), Image.Resampling.BILINEAR)
        images.append(np.asarray(image))
    return images
