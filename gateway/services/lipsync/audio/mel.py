"""The mel spectrogram that the audio encoder was trained on.

Chain and constants are the contract's: pre-emphasis 0.97, centred short-time Fourier transform
with zeros outside (Hann window 800, hop 200), magnitude, 80 mel bands from 55 to 7600 Hz, decibels
over 1e-5 less a reference of 20 dB, scaled from -100..0 dB to -4..4.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
SAMPLE_RATE = 16_000  # Hz
HOP = 200  # samples; 80 rows a second
BANDS = 80
_WINDOW = 800  # samples, and length of the transform
_PRE_EMPHASIS = 0.97
_LOWEST, _HIGHEST = 55.0, 7600.0  # Hz
_FLOOR, _REFERENCE_DB, _RANGE_DB, _LIMIT = 1e-5, 20.0, 100.0, 4.0


def row_count(samples: int) -> int:
    """Return the rows of the spectrogram of so many samples."""
    return 1 + samples // HOP


def mel_spectrogram(samples: Floats) -> Floats:
    """Return the spectrogram, float32 [1 + n // 200, 80], of mono samples, float32 [n], n > 0."""
    signal = samples.astype(np.float64)
    signal[1:] -= _PRE_EMPHASIS * samples[:-1].astype(np.float64)
    padded = np.pad(signal, _WINDOW // 2)
    pieces = sliding_window_view(padded, _WINDOW)[::HOP]
    magnitudes = np.abs(np.fft.rfft(pieces * _hann()))
    decibels = 20 * np.log10(np.maximum(magnitudes @ mel_filters().T, _FLOOR)) - _REFERENCE_DB
    scaled = 2 * _LIMIT * (decibels + _RANGE_DB) / _RANGE_DB - _LIMIT
    clipped: Floats = np.clip(scaled, -_LIMIT, _LIMIT).astype(np.float32)
    return clipped


@lru_cache
def _hann() -> Doubles:
    """Return the periodic Hann window, as spectra use it."""
    phase: Doubles = 2 * np.pi * np.arange(_WINDOW) / _WINDOW
    return 0.5 - 0.5 * np.cos(phase)


@lru_cache
def mel_filters() -> Doubles:
    """Return triangles of equal area over the transform's frequencies, float64 [80, 401].

    Scale and normalisation are those of M. Slaney's Auditory Toolbox (1998), librosa's default.
    """
    lowest, highest = _mel(np.array([_LOWEST, _HIGHEST]))
    corners = _hertz(np.linspace(lowest, highest, BANDS + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, _WINDOW // 2 + 1)
    low, middle, high = (corners[start : start + BANDS, None] for start in range(3))
    rising = (frequencies - low) / (middle - low)
    falling = (high - frequencies) / (high - middle)
    triangles: Doubles = np.maximum(0, np.minimum(rising, falling))
    return triangles * 2 / (high - low)


# Slaney's scale: linear, 3 mel per 200 Hz, up to 1 kHz; then 27 steps per factor of 6.4.
_HERTZ_PER_MEL = 200 / 3
_KNEE_HERTZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27


def _mel(hertz: Doubles) -> Doubles:
    above = _KNEE_MEL + np.log(np.maximum(hertz, _KNEE_HERTZ) / _KNEE_HERTZ) / _LOG_STEP
    return np.where(hertz < _KNEE_HERTZ, hertz / _HERTZ_PER_MEL, above)


def _hertz(mel: Doubles) -> Doubles:
    above = _KNEE_HERTZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HERTZ_PER_MEL, above)
