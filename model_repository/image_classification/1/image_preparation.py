"""torchvision's evaluation transform on PIL pictures, pixel for pixel: resize, centre crop.

Pillow and numpy only. Equals `torchvision.transforms._presets.ImageClassification` up to its
conversion to floats, which is in the network's graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
}
"""By torchvision's names of interpolation modes."""

MAX_ASPECT = 16
"""Of longer pictures only the part that is kept is resized, for a strip of 1 x 60,000,000 pixels
would become terabytes. Their pixels may be one grey level off, because Pillow rounds the borders
of the part to 32 bits."""


@dataclass(frozen=True)
class Preparation:
    """The transform of one model.

    Attributes:
        input_size: Side of the result in pixels.
        resize_size: Length of the picture's shorter side before the crop, in pixels.
        filter: Pillow's resampling filter.
    """

    input_size: int
    resize_size: int
    filter: Image.Resampling

    def __call__(self, image: Image.Image) -> NDArray[Any]:
        """Return the centre of a picture.

        Args:
            image: Mode RGB.

        Returns:
            UINT8 [input_size, input_size, 3].
        """
        short = min(image.size)
        # The longer side is cut, not rounded, as in torchvision.
        width, height = (int(self.resize_size * side / short) for side in image.size)
        side = self.input_size
        left, top = round((width - side) / 2), round((height - side) / 2)
        if max(image.size) <= MAX_ASPECT * short:
            resized = image.resize((width, height), self.filter)
            return np.asarray(resized.crop((left, top, left + side, top + side)))
        across, down = image.width / width, image.height / height
        box = (
            min(left * across, image.width),
            min(top * down, image.height),
            min((left + side) * across, image.width),
            min((top + side) * down, image.height),
        )
        return np.asarray(image.resize((side, side), self.filter, box=box))
