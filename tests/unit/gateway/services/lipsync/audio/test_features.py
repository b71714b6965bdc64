"""`raw_audio` from bytes to features, with an encoder that tells what it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BusyError, GatewayError, InferenceError, UnavailableError
from gateway.services.lipsync.audio.alignment import per_frame, window_count, windows
from gateway.services.lipsync.audio.features import AudioError, AudioFeatures, mel_windows
from gateway.services.lipsync.audio.mel import mel_spectrogram, row_count
from gateway.triton.tensors import Array, Tensor, to_array

NOISE = np.random.default_rng(3).normal(0, 0.1, 60_000).astype("<f4")


class Encoder:
    """Vectors are the window's mean in every place."""

    def __init__(self, error: GatewayError | None = None) -> None:
        self.error = error
        self.shapes: list[tuple[int, ...]] = []

    async def infer(
        self, model: str, inputs: Mapping[str, Tensor], outputs: Sequence[str], **_: Any
    ) -> dict[str, Array]:
        assert (model, tuple(outputs)) == ("audio_encoder", ("audio_features",))
        if self.error:
            raise self.error
        mel = to_array(*inputs["mel"])
        self.shapes.append(mel.shape)
        return {"audio_features": np.repeat(mel.mean(axis=(2, 3)), 512, axis=1)}


def features(encoder: Encoder) -> AudioFeatures:
    return AudioFeatures(encoder, "audio_encoder")  # type: ignore[arg-type]


def straight(samples: np.ndarray, frames: int) -> np.ndarray:
    """The same without leaving anything out."""
    rows = row_count(len(samples))
    found = windows(mel_spectrogram(samples), rows, frames)
    vectors = np.repeat(found.mean(axis=(1, 2))[:, None], 512, axis=1)
    return per_frame(vectors, rows, frames)


@pytest.mark.parametrize(
    ("samples", "frames"), [(15_360, 24), (60_000, 3), (3000, 1), (32_000, 50)]
)
async def test_the_rest_of_long_sound_changes_nothing(samples: int, frames: int) -> None:
    encoder, sound = Encoder(), NOISE[:samples]
    found = await features(encoder).of_frames(memoryview(sound.tobytes()), frames, 1)
    assert found.shape == (frames, 32, 16, 16)
    np.testing.assert_allclose(found, straight(sound, frames), atol=1e-5)
    assert encoder.shapes[0][0] == min(window_count(row_count(samples)), frames + 6)
    assert encoder.shapes[0][1:] == (1, 80, 16)


async def test_short_sound_is_followed_by_silence() -> None:
    found = await features(Encoder()).of_frames(memoryview(NOISE[:640].tobytes()), 1, 1)
    padded = np.pad(NOISE[:640], (0, 3000 - 640))
    np.testing.assert_allclose(found, straight(padded, 1), atol=1e-5)


@given(st.integers(1, 4000), st.integers(1, 50))
def test_any_number_of_samples_gives_windows(samples: int, frames: int) -> None:
    found, rows = mel_windows(memoryview(NOISE[:samples].tobytes()), frames)
    assert found.shape[1:] == (80, 16)
    assert rows >= 16
    assert np.isfinite(found).all()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 4001])
async def test_bytes_that_are_no_samples_are_refused(size: int) -> None:
    with pytest.raises(AudioError, match=rf"^Failed to process audio to mel-spectrogram: {size} "):
        await features(Encoder()).of_frames(memoryview(bytes(size)), 1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_samples_that_are_no_numbers_are_refused(value: float) -> None:
    sound = NOISE[:4000].copy()
    sound[3999] = value
    with pytest.raises(AudioError, match=r"^Failed to process audio to mel-spectrogram: not every"):
        await features(Encoder()).of_frames(memoryview(sound.tobytes()), 1, 1)


@pytest.mark.parametrize("error", [UnavailableError(), InferenceError()])
async def test_a_failing_encoder_is_told(error: GatewayError) -> None:
    with pytest.raises(AudioError, match=r"^Failed to encode audio features: the audio encoder"):
        await features(Encoder(error)).of_frames(memoryview(NOISE[:4000].tobytes()), 1, 1)


async def test_a_busy_encoder_is_no_fault_of_the_request() -> None:
    with pytest.raises(BusyError):
        await features(Encoder(BusyError())).of_frames(memoryview(NOISE[:4000].tobytes()), 1, 1)
