"""`raw_audio`: samples to mel windows here, windows to vectors by the model `audio_encoder`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from gateway.errors import BusyError, DeadlineError, GatewayError, UnavailableError
from gateway.health.attempts import Asking
from gateway.services.lipsync.audio.alignment import (
    MIN_SAMPLES,
    WINDOW_ROWS,
    per_frame,
    rows_needed,
    windows,
)
from gateway.services.lipsync.audio.mel import BANDS, HOP, Floats, mel_spectrogram, row_count
from gateway.triton import Tensor, TritonPort
from gateway.triton.status import LostError

AWAY = "Failed to encode audio features: the audio encoder does not answer"
FAILED = "Failed to encode audio features: the audio encoder failed"


class AudioError(Exception):
    """`raw_audio` cannot be processed; the message is for the client."""


class AudioAwayError(AudioError):
    """The encoder does not answer."""

    def __init__(self) -> None:
        super().__init__(AWAY)


class AudioFeatures:
    """Audio features of frames.

    Args:
        triton: runs the encoder.
        model: Triton model ``mel`` [k,1,80,16] -> ``audio_features`` [k,512].
    """

    def __init__(self, triton: TritonPort, model: str) -> None:
        self._triton = triton
        self._model = model

    async def of_frames(self, raw: memoryview, frames: int, timeout: float) -> Floats:
        """Return the features of consecutive frames, float32 [frames, 32, 16, 16].

        Args:
            raw: little-endian float32 samples at 16 kHz, the first frame's first.
            frames: at least 1.
            timeout: seconds for the encoder.

        Raises:
            AudioError: not samples, or the encoder fails on them.
            GatewayError: the encoder is busy or too slow, or its process ended.
        """
        windows, rows = await asyncio.to_thread(mel_windows, raw, frames)
        return per_frame(await self.of_windows(windows, timeout), rows, frames)

    async def of_windows(self, windows: Floats, timeout: float) -> Floats:
        """Return the vectors of windows, float32 [k, 512].

        Args:
            windows: float32 [k, 80, 16] of the mel spectrogram.
            timeout: seconds for the encoder.

        Raises:
            AudioError: the encoder fails on them.
            GatewayError: the encoder is busy or too slow, or its process ended.
        """
        shape = (len(windows), 1, BANDS, WINDOW_ROWS)
        mel = Tensor("FP32", shape, windows.tobytes())
        try:
            reply = await self._triton.infer(
                self._model, {"mel": mel}, ("audio_features",), timeout=timeout
            )
        except (BusyError, DeadlineError, LostError):
            raise
        except GatewayError as error:
            raise (AudioAwayError() if error.status >= 503 else AudioError(FAILED)) from None
        vectors: Floats = reply["audio_features"].reshape(len(windows), -1)
        return vectors


def mel_windows(raw: memoryview, frames: int) -> tuple[Floats, int]:
    """Return the windows that ``frames`` frames need, and the rows of the whole spectrogram.

    Only as much sound is transformed as the frames can depend on.

    Raises:
        AudioError: no whole number of samples, or one that is not finite.
    """
    problem = "Failed to process audio to mel-spectrogram: "
    if len(raw) % 4:
        raise AudioError(f"{problem}{len(raw)} bytes are no whole number of float32 samples")
    samples = np.frombuffer(raw, dtype="<f4")
    if not np.isfinite(samples).all():
        raise AudioError(f"{problem}not every sample is a finite number")
    if len(samples) < MIN_SAMPLES:
        samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
    rows = row_count(len(samples))
    # The last row needed sees half a window, two hops, of further samples.
    part = samples[: (rows_needed(frames) + 1) * HOP]
    mel = mel_spectrogram(part)[: rows_needed(frames)]
    return windows(mel, rows, frames), rows


@dataclass(frozen=True)
class LastingAudio:
    """Features of `raw_audio` from an encoder whose process may die meanwhile.

    Attributes:
        features: asks the encoder.
        asking: asks it again until a deadline, by the monotonic clock.
    """

    features: AudioFeatures
    asking: Callable[[float], Asking]

    async def of_frames(self, raw: memoryview, frames: int, seconds: float) -> Floats:
        """See :meth:`AudioFeatures.of_frames`; a process that ended is waited for."""
        return await self._ask(lambda left: self.features.of_frames(raw, frames, left), seconds)

    async def of_windows(self, windows: Floats, seconds: float) -> Floats:
        """See :meth:`AudioFeatures.of_windows`; a process that ended is waited for."""
        return await self._ask(lambda left: self.features.of_windows(windows, left), seconds)

    async def _ask(self, ask: Callable[[float], Awaitable[Floats]], seconds: float) -> Floats:
        try:
            return await self.asking(time.monotonic() + seconds)(ask)
        except UnavailableError:
            raise AudioAwayError from None
