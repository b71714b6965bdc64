"""What a tenant makes of a drawn face: one frame in silence, or those of a sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 320  # pixels
SAMPLES_PER_FRAME = 640  # 16 kHz at 25 frames a second
MAX_SECONDS = 2.0
"""Of sound: as many frames as one call may have."""
AUDIO_VALUES = 32 * 16 * 16
SILENCE = memoryview(bytes(AUDIO_VALUES * 4))
"""Audio features of one call: float32 zeros [1,32,16,16]."""


def _disc(x: float, y: float, width: float, height: float) -> NDArray[np.bool_]:
    """Return the mask of an ellipse; centre and half axes are fractions of the side."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    inside: NDArray[np.bool_] = ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 1
    return inside


def _draw() -> NDArray[np.uint8]:
    """Return a schematic face, uint8 [1,3,320,320], blue first as the network wants it."""
    picture = np.empty((SIDE, SIDE, 3), np.uint8)
    picture[:] = np.linspace(190, 120, SIDE, dtype=np.uint8)[:, None, None]
    picture[_disc(0.5, 0.5, 0.36, 0.47)] = (150, 180, 225)
    for side in (0.35, 0.65):
        picture[_disc(side, 0.38, 0.07, 0.035)] = (250, 250, 250)
        picture[_disc(side, 0.38, 0.028, 0.034)] = (60, 45, 40)
        picture[_disc(side, 0.29, 0.09, 0.014)] = (50, 65, 90)
    picture[_disc(0.5, 0.56, 0.05, 0.03)] = (125, 155, 205)
    picture[_disc(0.5, 0.74, 0.13, 0.035)] = (105, 95, 190)
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


FACE = _draw()
"""The input of every preview, uint8 [1,3,320,320] B,G,R; the model adds the masked half."""


def frames_of(sound: NDArray[np.float32]) -> int:
    """Return the frames in which samples, [n] at 16 kHz, are heard."""
    return -(-len(sound) // SAMPLES_PER_FRAME)


def as_rgb(mouths: memoryview | NDArray[Any]) -> NDArray[np.uint8]:
    """Return the network's answer, uint8 [n,3,320,320] B,G,R, as uint8 [n*320,320,3] R,G,B."""
    planes = np.frombuffer(mouths, np.uint8).reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes[:, ::-1].transpose(0, 2, 3, 1)).reshape(-1, SIDE, 3)
