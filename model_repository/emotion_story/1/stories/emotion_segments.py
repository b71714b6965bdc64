"""Expressions of one person over time → stretches of one emotion. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.1
"""By how much another emotion must lead before the current one gives way (hysteresis)."""

MIN_SECONDS = 0.4
"""Shorter stretches are joined to a neighbour; micro-expressions are not what is told here."""

TREND = 0.25
"""Change of an emotion's probability within a stretch from which it rises or falls."""

UNSURE = 0.45
"""Mean probability below which an expression is called hard to read."""


@dataclass(frozen=True)
class Segment:
    """A stretch of one emotion.

    Attributes:
        start: In seconds.
        end: In seconds.
        emotion: Number of the label.
        confidence: Mean probability of the emotion over its frames, 0..1.
        trend: Change of that probability from the first to the last third of the frames.
    """

    start: float
    end: float
    emotion: int
    confidence: float
    trend: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def frame_spans(times: Sequence[float], duration: float) -> NDArray[Any]:
    """Return the time that each frame stands for: from half-way to its neighbours, FP64 [n, 2].

    Args:
        times: Of the sampled frames in seconds, ascending.
        duration: Of the clip in seconds.
    """
    inner = [(left + right) / 2 for left, right in pairwise(times)]
    edges = [0.0, *inner, max(duration, times[-1])]
    return np.stack((edges[:-1], edges[1:]), axis=1)


def smoothed(probabilities: NDArray[Any]) -> NDArray[Any]:
    """Mean of each frame and, with half its weight, both neighbours; FP32 [n, labels] as given.

    A single frame is one expression of many while somebody speaks.
    """
    padded = np.pad(probabilities, ((1, 1), (0, 0)), mode="edge")
    weighted: NDArray[Any] = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return weighted


def find_segments(spans: NDArray[Any], probabilities: NDArray[Any]) -> list[Segment]:
    """Split the time of one person into stretches of one emotion.

    Args:
        spans: FP64 [n, 2], the time that each frame stands for; at least one, ascending. The
            person is out of sight between two frames that do not touch.
        probabilities: FP32 [n, labels].

    Returns:
        Stretches in the order of time that cover the spans; neighbours that touch differ.
    """
    segments = []
    breaks = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > 1e-6) + 1
    for visible, rows in zip(np.split(spans, breaks), np.split(probabilities, breaks), strict=True):
        calm = smoothed(rows)
        for first, last, emotion in _joined(visible, calm, _runs(_labels(calm))):
            values = calm[first:last, emotion]
            segments.append(
                Segment(
                    start=float(visible[first, 0]),
                    end=float(visible[last - 1, 1]),
                    emotion=emotion,
                    confidence=float(values.mean()),
                    trend=_trend(values),
                )
            )
    return segments


def _labels(probabilities: NDArray[Any]) -> list[int]:
    """Label of each frame: it changes when another one leads by `MARGIN`."""
    current = int(probabilities[0].argmax())
    labels = []
    for row in probabilities:
        best = int(row.argmax())
        if row[best] - row[current] > MARGIN:
            current = best
        labels.append(current)
    return labels


_Run = tuple[int, int, int]
"""First frame, the one behind the last, emotion."""


def _runs(labels: Sequence[int]) -> list[_Run]:
    runs: list[_Run] = []
    for place, label in enumerate(labels):
        if runs and runs[-1][2] == label:
            runs[-1] = (runs[-1][0], place + 1, label)
        else:
            runs.append((place, place + 1, label))
    return runs


def _joined(spans: NDArray[Any], probabilities: NDArray[Any], runs: list[_Run]) -> list[_Run]:
    """Join runs that are too short to the neighbour whose emotion fits their frames better."""

    def seconds(run: _Run) -> float:
        return float(spans[run[1] - 1, 1] - spans[run[0], 0])

    while len(runs) > 1:
        place = min(range(len(runs)), key=lambda place: seconds(runs[place]))
        if seconds(runs[place]) >= MIN_SECONDS:
            break
        first, last, _ = runs[place]
        around = [runs[at] for at in (place - 1, place + 1) if 0 <= at < len(runs)]
        # By argument, not by key: equal fits go to the earlier neighbour.
        fits = [float(probabilities[first:last, run[2]].mean()) for run in around]
        emotion = around[int(np.argmax(fits))][2]
        labels = [run[2] for run in runs for _ in range(run[0], run[1])]
        labels[first:last] = [emotion] * (last - first)
        runs = _runs(labels)
    return runs


def _trend(values: NDArray[Any]) -> float:
    third = max(1, len(values) // 3)
    return float(values[-third:].mean() - values[:third].mean()) if len(values) > 2 else 0.0
