"""One fixed frame, run through the original and through what was made of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from frames.pixels import AUDIO_SHAPE, NETWORK_CHANNELS, SIDE
from numpy.typing import NDArray

MAX_DIFFERENCE = 1e-5
"""Largest absolute difference to a plain session of the original file."""
MIN_PSNR = 50.0
"""Decibels that weights stored in half precision must keep, against full precision."""


def golden_inputs() -> dict[str, NDArray[Any]]:
    """`input` FP32 [1, 6, 320, 320] from 0 to 1 and `audio` FP32 [1, 32, 16, 16]."""
    random = np.random.default_rng(20240607)
    frame = random.random((1, NETWORK_CHANNELS, SIDE, SIDE), dtype=np.float32)
    audio = random.standard_normal((1, *AUDIO_SHAPE), dtype=np.float32)
    return {"input": frame, "audio": audio}


def max_difference(expected: NDArray[Any], got: NDArray[Any]) -> float:
    """Largest absolute difference; infinite when a shape differs or a number is none."""
    if expected.shape != got.shape or not np.isfinite(got).all():
        return math.inf
    return float(np.abs(expected - got).max())


def psnr(expected: NDArray[Any], got: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in decibels of pictures from 0 to 1 (10 log10 of 1 / MSE)."""
    if expected.shape != got.shape or not np.isfinite(got).all():
        return -math.inf
    error = float(np.mean((expected.astype(np.float64) - got) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)
