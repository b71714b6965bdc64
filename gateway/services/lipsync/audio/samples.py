"""Sound as the networks hear it, 16 kHz and float32: of a stream at any rate, of a WAV file."""

from __future__ import annotations

import io
import wave
from typing import Any, Literal

import numpy as np

from gateway.errors import RefusedError
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
        self._taken = self._made = 0

    def samples(self, piece: bytes) -> Floats:
        """Return what a piece adds, float32 [n] at 16 kHz; the last few may come with the next.

        Raises:
            SamplesError: no whole number of samples, or one that is not finite.
        """
        size = _BYTES[self._format]
        if len(piece) % size:
            raise SamplesError(f"{len(piece)} bytes are no whole number of {self._format} samples")
        if self._format == "PCM16":
            read = np.frombuffer(piece, "<i2").astype(np.float32) / np.float32(32768)
        else:
            read = np.frombuffer(piece, "<f4").astype(np.float32)
            if not np.isfinite(read).all():
                raise SamplesError("not every sample is a finite number")
        if self._resampler is None or not len(read):
            return read
        self._taken += len(read)
        resampled: Floats = self._resampler.process(read, SAMPLE_RATE / self._rate)
        self._made += len(resampled)
        return resampled

    def rest(self) -> Floats:
        """Return the samples that are left when the last piece was there, float32 [n]."""
        if self._resampler is None:
            return np.empty(0, np.float32)
        # It keeps what a sample's neighbours after it would change; they are silent.
        left = round(self._taken * SAMPLE_RATE / self._rate) - self._made
        silence = np.zeros(self._rate // 50, np.float32)
        resampled: Floats = self._resampler.process(silence, SAMPLE_RATE / self._rate, True)
        return resampled[:left]


def _resampler() -> Any:
    """Return a resampler for mono float32, which keeps its state from piece to piece.

    The quality is libsamplerate's lowest by a window: 97 dB of noise distance, 80 % of the band, a
    delay of 1 ms to 3 ms.
    """
    from samplerate import Resampler  # loaded where a stream needs it

    return Resampler("sinc_fastest", channels=1)


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
