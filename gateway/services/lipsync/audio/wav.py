"""Samples of WAV files as the lip-sync networks hear them."""

from __future__ import annotations

import io
import wave

import numpy as np

from gateway.errors import RefusedError
from gateway.services.lipsync.audio.mel import SAMPLE_RATE, Floats


def samples_of(file: bytes, longest: float) -> Floats:
    """Return the samples of a WAV file, float32 [n] from -1 to 1, n > 0.

    Args:
        file: its bytes.
        longest: seconds that it may last.

    Raises:
        RefusedError: no WAV file, another kind of sound, empty or too long.
    """
    try:
        with wave.open(io.BytesIO(file)) as sound:
            kind = sound.getframerate(), sound.getnchannels(), sound.getsampwidth()
            raw = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError, ValueError, RuntimeError):
        raise RefusedError("The sound is no WAV file of uncompressed samples") from None
    if kind != (SAMPLE_RATE, 1, 2):
        rate, channels, width = kind
        raise RefusedError(
            f"The sound has {rate} Hz, {channels} channels and {8 * width} bits a sample; wanted "
            f"are {SAMPLE_RATE} Hz, 1 channel and 16 bits"
        )
    samples = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.float32) / 32768
    if not 0 < len(samples) <= longest * SAMPLE_RATE:
        seconds = len(samples) / SAMPLE_RATE
        raise RefusedError(f"The sound lasts {seconds:.2f} s; more than 0 and at most {longest:g}")
    return samples
