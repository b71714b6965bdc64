"""Audio features of frames while the sound is still coming.

What comes out is what `features.py` makes of the whole sound at once, for any cutting in pieces.
"""

from __future__ import annotations

import numpy as np

from gateway.services.lipsync.audio.alignment import (
    AFTER,
    BEFORE,
    MIN_SAMPLES,
    VECTOR,
    WINDOW_ROWS,
    first_row,
    window_count,
)
from gateway.services.lipsync.audio.mel import BANDS, HOP, SAMPLE_RATE, Floats, mel_spectrogram

SAMPLES_PER_FRAME = SAMPLE_RATE // 25
_HALF_WINDOW = 400  # samples on either side of a row's middle that it is made of
_LEAD_ROWS = 3  # at the beginning of a piece that see the zeros before it
_CYCLE = 5  # frames after which rows (16) and frames begin together again
_LEAD_FRAMES = BEFORE + 2  # whose sound a frame and the first rows of a piece can depend on


def sound_frame(first_frame: int) -> int:
    """Return the frame with which the sound has to begin where mouths begin with another."""
    return max(0, (first_frame - _LEAD_FRAMES) // _CYCLE * _CYCLE)


class SoundStream:
    """Samples in; windows for the encoder out; its vectors in; features of frames out.

    Args:
        first_frame: whose features are wanted first; samples begin with :func:`sound_frame`.
    """

    def __init__(self, first_frame: int = 0) -> None:
        self._base = sound_frame(first_frame)
        self._samples = np.empty(0, np.float32)
        self._dropped = 0  # samples at the beginning that nothing depends on any more
        self._received = 0
        self._ended = False
        self._window = max(0, first_frame - BEFORE - 1)  # the next that the encoder is to see
        self._first_vector = self._window
        self._vectors: list[Floats] = []
        self._frame = first_frame

    @property
    def frames(self) -> int:
        """Frames, counted from the beginning of the sound, in which what came is heard."""
        return self._base - (-self._received // SAMPLES_PER_FRAME)

    @property
    def seconds_waiting(self) -> float:
        """Length of the sound whose frames have not been taken."""
        return (self.frames - self._frame) / 25

    def add(self, samples: Floats) -> None:
        """Take float32 [n] at 16 kHz."""
        self._samples = np.concatenate([self._samples, samples])
        self._received += len(samples)

    def end(self) -> None:
        """Take note that no sound follows."""
        missing = MIN_SAMPLES - self._received
        if missing > 0:  # as for short sound at once: silence follows, in which no frame is shown
            self._samples = np.pad(self._samples, (0, missing))
        self._ended = True

    def windows(self, most: int) -> Floats:
        """Return the next windows that are complete, float32 [k, 80, 16], k from 0 to ``most``.

        Their vectors have to be given to :meth:`encoded` before the next call.
        """
        rows = self._rows()
        begins = []
        for window in range(self._window, self._window + most):
            begin = first_row(window)
            if self._ended and window < window_count(rows):
                begin = min(begin, rows - WINDOW_ROWS)
            elif begin + WINDOW_ROWS > rows or self._ended:
                break
            begins.append(begin)
        if not begins:
            return np.empty((0, BANDS, WINDOW_ROWS), np.float32)
        mel, at = self._mel(begins[0], max(begins) + WINDOW_ROWS)
        return np.stack([mel[begin - at : begin - at + WINDOW_ROWS].T for begin in begins])

    def encoded(self, vectors: Floats) -> None:
        """Take the vectors of the last windows, float32 [k, 512]."""
        self._vectors.extend(vectors)
        self._window += len(vectors)
        self._forget()

    def ready(self) -> int:
        """Return the frames whose features are known and have not been taken."""
        whole = self._ended and self._window >= window_count(self._rows())
        last = self.frames if whole else self._window - AFTER + 2
        return max(0, min(last, self.frames) - self._frame)

    def within_reach(self) -> int:
        """Return the frames that would be ready if all complete windows were encoded."""
        rows = self._rows()
        if self._ended:
            return max(0, self.frames - self._frame)
        last_row = rows - WINDOW_ROWS
        windows = (25 * (last_row + 1) - 1) // 80 + 1 if last_row >= 0 else 0
        return max(0, min(windows - AFTER + 2, self.frames) - self._frame)

    def take(self, count: int) -> Floats:
        """Return the features of the next ``count`` frames, float32 [count, 32, 16, 16].

        Args:
            count: from 1 to :meth:`ready`.
        """
        context = [
            self._vector(frame + place)
            for frame in range(self._frame, self._frame + count)
            for place in range(-BEFORE, AFTER)
        ]
        self._frame += count
        self._forget()
        return np.stack(context).reshape(count, 32, 16, 16)

    def _vector(self, place: int) -> Floats:
        """Return a vector of the list in which the first and the last come twice, else zeros."""
        known = self._first_vector + len(self._vectors)
        whole = self._ended and self._window >= window_count(self._rows())
        if place < 0 or place > known + (1 if whole else 0):
            return np.zeros(VECTOR, np.float32)
        number = min(max(place - 1, 0), known - 1)
        return self._vectors[number - self._first_vector]

    def _rows(self) -> int:
        """Return the rows from the beginning of the sound that no further sample changes."""
        here = self._dropped + len(self._samples)
        rows = 1 + here // HOP if self._ended else max(0, (here - _HALF_WINDOW) // HOP + 1)
        return rows + first_row(self._base)

    def _mel(self, begin: int, end: int) -> tuple[Floats, int]:
        """Return rows from ``begin`` or a little earlier to ``end``, and where they begin."""
        dropped = first_row(self._base) + self._dropped // HOP
        first = max(0, begin - dropped - _LEAD_ROWS)
        last = (end - dropped + 2) * HOP + 1
        part = mel_spectrogram(self._samples[first * HOP : last])
        return part[: end - dropped - first], dropped + first

    def _forget(self) -> None:
        """Let go of samples and vectors that no later frame depends on."""
        row = first_row(self._window)
        if self._ended:
            row = min(row, self._rows() - WINDOW_ROWS)
        keep = (row - first_row(self._base) - 2 * _LEAD_ROWS) * HOP - self._dropped
        if keep > 0:
            self._samples = self._samples[keep:]
            self._dropped += keep
        old = self._frame - BEFORE - 1 - self._first_vector
        if old > 0 and old < len(self._vectors):
            del self._vectors[:old]
            self._first_vector += old
