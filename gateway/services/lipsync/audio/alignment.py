"""Which part of the sound belongs to which frame of 25 a second.

The alignment is that of SyncTalk_2D, which the networks were trained with: one vector per frame
from a window of 16 mel rows; the list of vectors gets its first and last once more at its ends;
a frame sees 16 neighbours in that list, and zeros outside of it.
"""

from __future__ import annotations

import numpy as np

from gateway.services.lipsync.audio.mel import BANDS, HOP, Floats

WINDOW_ROWS = 16  # of the spectrogram: 0.2 s
VECTOR = 512  # features of one window
BEFORE, AFTER = 8, 8  # vectors that a frame sees: from i - 8 to i + 7
MIN_SAMPLES = (WINDOW_ROWS - 1) * HOP  # for one window; shorter sound is followed by silence


def first_row(frame: int) -> int:
    """Return where the window of a frame begins: 80 rows and 25 frames a second."""
    return 80 * frame // 25


def window_count(rows: int) -> int:
    """Return the windows in a spectrogram of at least 16 rows.

    The last is moved back to end with the sound where it would begin less than a frame early.
    """
    return (rows - WINDOW_ROWS) * 25 // 80 + 2


def rows_needed(frames: int) -> int:
    """Return the rows that the vectors of so many frames can depend on."""
    return first_row(frames + AFTER - 3) + WINDOW_ROWS


def windows(mel: Floats, rows: int, frames: int) -> Floats:
    """Return the windows that ``frames`` frames need, float32 [k, 80, 16].

    Args:
        mel: float32 [n, 80], the spectrogram's first rows: ``rows_needed`` if it has as many.
        rows: of the whole spectrogram.
        frames: at least 1.
    """
    count = min(window_count(rows), frames + AFTER - 2)
    windows = np.empty((count, BANDS, WINDOW_ROWS), np.float32)
    for frame in range(count):
        start = min(first_row(frame), rows - WINDOW_ROWS)
        windows[frame] = mel[start : start + WINDOW_ROWS].T
    return windows


def per_frame(vectors: Floats, rows: int, frames: int) -> Floats:
    """Return the audio features of every frame, float32 [frames, 32, 16, 16].

    Args:
        vectors: float32 [k, 512], of what ``windows`` returned.
        rows: of the whole spectrogram.
        frames: as given to ``windows``.
    """
    parts = [vectors[:1], vectors]
    if len(vectors) == window_count(rows):
        parts.append(vectors[-1:])
    known = np.concatenate(parts)[: frames + AFTER - 1]
    surrounded = np.zeros((BEFORE + frames + AFTER - 1, VECTOR), np.float32)
    surrounded[BEFORE : BEFORE + len(known)] = known
    context = [surrounded[frame : frame + BEFORE + AFTER] for frame in range(frames)]
    features: Floats = np.stack(context).reshape(frames, 32, 16, 16)
    return features
