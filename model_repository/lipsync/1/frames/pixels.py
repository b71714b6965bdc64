"""Frames as they travel, and as the network takes them: type, range, and the derived channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 320
"""Height and width of a frame in pixels."""
IMAGE_CHANNELS = 3
"""Of the face, and of the mouth that comes back; passed through in the caller's order."""
NETWORK_CHANNELS = 6
"""The face, and the face with the mouth blackened."""
AUDIO_SHAPE = (32, 16, 16)
"""One block of audio features: 16 vectors of 512, row by row."""
SCALE = np.float32(255)


@dataclass(frozen=True)
class Mask:
    """The rectangle of the mouth that is black in channels 3 to 5; both corners inside.

    Attributes:
        left: First column.
        top: First row.
        right: Last column.
        bottom: Last row.
    """

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Read "left,top,right,bottom".

        Raises:
            ValueError: Not four numbers that lie in a frame.
        """
        left, top, right, bottom = (int(part) for part in text.split(","))
        if not (0 <= left <= right < SIDE and 0 <= top <= bottom < SIDE):
            raise ValueError("the mask does not lie in the frame")
        return cls(left, top, right, bottom)

    @property
    def area(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom + 1), slice(self.left, self.right + 1)


def network_input(frames: NDArray[Any], mask: Mask, scratch: NDArray[Any]) -> NDArray[Any]:
    """Return the frames as the network's `input`.

    Args:
        frames: [n, 6 or 3, 320, 320]; FP32 and FP16 from 0 to 1, UINT8 from 0 to 255.
        mask: Where channels 3 to 5 are black when there are only three.
        scratch: FP32 [>= n, 6, 320, 320], used unless the frames are what is wanted already.

    Returns:
        FP32 [n, 6, 320, 320]: `frames` itself, or part of `scratch`.
    """
    count, channels = frames.shape[:2]
    if frames.dtype == np.float32 and channels == NETWORK_CHANNELS:
        return frames
    ready = scratch[:count]
    if frames.dtype == np.uint8:
        np.divide(frames, SCALE, out=ready[:, :channels])
    else:
        ready[:, :channels] = frames
    if channels == IMAGE_CHANNELS:
        ready[:, IMAGE_CHANNELS:] = ready[:, :IMAGE_CHANNELS]
        rows, columns = mask.area
        ready[:, IMAGE_CHANNELS:, rows, columns] = 0
    return ready


def write_mouths(mouths: NDArray[Any], target: NDArray[Any]) -> None:
    """Write FP32 mouths, 0 to 1, as what the caller asked for.

    Args:
        mouths: FP32 [n, 3, 320, 320]; changed when `target` is UINT8.
        target: FP32 or FP16 of that shape, or UINT8: 255 times the value, rounded, in range.
    """
    if target.dtype == np.uint8:
        np.multiply(mouths, SCALE, out=mouths)
        np.rint(mouths, out=mouths)
        np.clip(mouths, 0, SCALE, out=mouths)
        np.copyto(target, mouths, casting="unsafe")
    else:
        np.copyto(target, mouths, casting="same_kind")
