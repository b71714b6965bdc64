"""Which windows and vectors a frame sees, against the contract's own words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.lipsync.audio.alignment import per_frame, rows_needed, window_count, windows


def marked(rows: int) -> np.ndarray:
    """A spectrogram whose cells tell their row and band."""
    return (np.arange(rows)[:, None] * 100 + np.arange(80)).astype(np.float32)


def literally(rows: int, frames: int) -> np.ndarray:
    """Features by the contract's description, with vectors that tell their window's first row."""
    vectors = []
    for frame in range(int((rows - 16) / 80 * 25) + 2):
        start = int(80 * frame / 25)
        if start + 16 > rows:
            start = rows - 16
        vectors.append(np.full(512, start + 1, np.float32))
    padded = [vectors[0], *vectors, vectors[-1]]
    found = []
    for frame in range(frames):
        seen = [
            padded[at] if 0 <= at < len(padded) else np.zeros(512, np.float32)
            for at in range(frame - 8, frame + 8)
        ]
        found.append(np.stack(seen).reshape(32, 16, 16))
    return np.stack(found)


def ours(rows: int, frames: int) -> np.ndarray:
    mel = marked(rows)[: rows_needed(frames)]
    found = windows(mel, rows, frames)
    starts = found[:, 0, 0] // 100 + 1
    return per_frame(np.repeat(starts[:, None], 512, axis=1), rows, frames)


@given(st.integers(16, 400), st.integers(1, 50))
def test_every_frame_sees_what_the_contract_says(rows: int, frames: int) -> None:
    np.testing.assert_array_equal(ours(rows, frames), literally(rows, frames))


def test_windows_are_transposed_pieces_of_the_spectrogram() -> None:
    found = windows(marked(100), 100, 24)
    assert found.shape[1:] == (80, 16)
    np.testing.assert_array_equal(found[5], marked(100)[16:32].T)
    np.testing.assert_array_equal(found[6], marked(100)[19:35].T)


def test_windows_advance_by_80_rows_in_25_frames() -> None:
    found = windows(marked(200), 200, 40)
    assert found[25, 0, 0] - found[0, 0, 0] == 80 * 100
    steps = np.diff(found[:26, 0, 0]) / 100
    assert set(steps) == {3.0, 4.0}


def test_24_frames_of_sound_as_old_clients_send_it() -> None:
    rows = 1 + 15_360 // 200
    found = ours(rows, 24)
    assert found.shape == (24, 32, 16, 16)
    first, last = found[0].reshape(16, 512)[:, 0], found[-1].reshape(16, 512)[:, 0]
    assert (first[:8] == 0).all()  # nothing before the beginning
    assert first[8] == first[9] == 1  # the first window, twice
    assert first[10] == 4  # row int(80 * 1 / 25)
    assert (last[-8:] == 0).all()


@given(st.integers(16, 400), st.integers(1, 50))
def test_no_more_windows_are_encoded_than_frames_can_see(rows: int, frames: int) -> None:
    count = len(windows(marked(rows)[: rows_needed(frames)], rows, frames))
    assert 1 <= count <= min(frames + 6, window_count(rows))


@pytest.mark.parametrize(("rows", "count"), [(16, 2), (19, 2), (20, 3), (77, 21), (96, 27)])
def test_window_count(rows: int, count: int) -> None:
    assert window_count(rows) == count == int((rows - 16) / 80 * 25) + 2
