"""The spectrogram against an independent implementation (transformers' audio_utils)."""

from __future__ import annotations

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from gateway.services.lipsync.audio.mel import mel_filters, mel_spectrogram, row_count


def reference(samples: np.ndarray) -> np.ndarray:
    """The contract's chain out of a library's parts."""
    filters = mel_filter_bank(401, 80, 55.0, 7600.0, 16_000, norm="slaney", mel_scale="slaney")
    decibels = spectrogram(
        samples.astype(np.float64), window_function(800, "hann"), frame_length=800, hop_length=200,
        power=1.0, center=True, pad_mode="constant", preemphasis=None, mel_filters=filters,
        mel_floor=1e-5, log_mel="dB", reference=1.0, min_value=1e-5, dtype=np.float64,
    )  # fmt: skip
    return np.clip(8 * (decibels - 20 + 100) / 100 - 4, -4, 4).T


def emphasised(samples: np.ndarray) -> np.ndarray:
    from scipy.signal import lfilter

    return np.asarray(lfilter([1, -0.97], [1], samples.astype(np.float64)))


def sounds() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(5)
    seconds = np.arange(12_345) / 16_000
    sweep = np.sin(2 * np.pi * (100 + 3000 * seconds) * seconds)
    return {
        "noise": chance.normal(0, 0.1, 15_360).astype(np.float32),
        "sweep": (0.5 * sweep).astype(np.float32),
        "silence": np.zeros(4000, np.float32),
        "click": np.eye(1, 3000, 1500, dtype=np.float32)[0],
        "loud": (20 * chance.normal(0, 1, 3200)).astype(np.float32),
    }


@pytest.mark.parametrize("name", sounds())
def test_equals_the_reference(name: str) -> None:
    samples = sounds()[name]
    found = mel_spectrogram(samples)
    expected = reference(emphasised(samples))
    assert found.shape == (row_count(len(samples)), 80) == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4
    if name != "silence":
        assert np.ptp(found) > 1  # not all at the clip


def test_silence_is_the_floor() -> None:
    # 20 log10(1e-5) - 20 = -120 dB lies below the range.
    assert (mel_spectrogram(np.zeros(3000, np.float32)) == -4).all()


def test_filters_equal_the_reference() -> None:
    expected = mel_filter_bank(401, 80, 55.0, 7600.0, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(), expected.T, atol=1e-9)


def test_the_caller_keeps_its_samples() -> None:
    samples = sounds()["noise"]
    before = samples.copy()
    mel_spectrogram(samples)
    np.testing.assert_array_equal(samples, before)
