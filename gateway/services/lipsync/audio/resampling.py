"""Samples of a stream, at any rate and in either format, as 16 kHz and float32."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gateway.services.lipsync.audio.mel import SAMPLE_RATE, Floats

SampleFormat = Literal["PCM16", "FLOAT32"]
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
_BYTES = {"PCM16": 2, "FLOAT32": 4}


class SamplesError(ValueError):
    """Not samples; the message is for the client."""


class Resampling:
    """Samples of one stream, piece by piece.

    Args:
        sample_format: of the pieces; PCM16 counts from -32768 to 32767, FLOAT32 from -1 to 1.
        rate: of the pieces, in Hz.

    Raises:
        SamplesError: a rate that is not resampled.
    """

    def __init__(self, sample_format: SampleFormat, rate: int) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise SamplesError(
                f"Invalid sample rate: {rate} (must be {LOWEST_RATE}-{HIGHEST_RATE})"
            )
        self._format: SampleFormat = sample_format
        self._rate = rate
        self._resampler = None if rate == SAMPLE_RATE else _resampler()

    def samples(self, piece: bytes) -> Floats:
        """Return what a piece adds, float32 [n] at 16 kHz; the last few may come with the next.

        Raises:
            SamplesError: no whole number of samples, or one that is not finite.
        """
        size = _BYTES[self._format]
        if len(piece) % size:
            raise SamplesError(f"{len(piece)} bytes are no whole number of {self._format} samples")
        if self._format == "PCM16":
            found = np.frombuffer(piece, "<i2").astype(np.float32) / np.float32(32768)
        else:
            found = np.frombuffer(piece, "<f4").astype(np.float32)
            if not np.isfinite(found).all():
                raise SamplesError("not every sample is a finite number")
        if self._resampler is None or not len(found):
            return found
        return self._resampled(self._resampler, found)

    def rest(self) -> Floats:
        """Return the samples that are left when the last piece was there, float32 [n]."""
        if self._resampler is None:
            return np.empty(0, np.float32)
        return self._resampled(self._resampler, None)

    def _resampled(self, resampler: Any, samples: Floats | None) -> Floats:
        from av import AudioFrame  # its libraries are loaded where a stream needs them

        frame = None
        if samples is not None:
            frame = AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            frame.sample_rate = self._rate
        pieces = [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
        whole: Floats = np.concatenate([np.empty(0, np.float32), *pieces])
        return whole


def _resampler() -> Any:
    """Return FFmpeg's resampler for mono float32, which keeps its state from piece to piece."""
    from av import AudioResampler

    return AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
