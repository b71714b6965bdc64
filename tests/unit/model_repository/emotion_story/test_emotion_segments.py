"""Expressions over time become few stretches that cover it, and flicker makes none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories.emotion_segments import MIN_SECONDS, find_segments, frame_spans, smoothed

LABELS = 7


def rows(labels: list[int], probability: float = 0.9) -> np.ndarray:
    values = np.full((len(labels), LABELS), (1 - probability) / (LABELS - 1), np.float32)
    values[np.arange(len(labels)), labels] = probability
    return values


def spans(count: int, step: float = 1.0) -> np.ndarray:
    return frame_spans([(n + 0.5) * step for n in range(count)], count * step)


def test_frames_stand_for_the_time_half_way_to_their_neighbours() -> None:
    np.testing.assert_allclose(frame_spans([1, 2, 5], 6), [[0, 1.5], [1.5, 3.5], [3.5, 6]])
    np.testing.assert_allclose(frame_spans([0], 0.04), [[0, 0.04]])


def test_two_emotions_are_two_stretches() -> None:
    found = find_segments(spans(10), rows([6] * 4 + [3] * 6))
    assert [(s.start, s.end, s.emotion) for s in found] == [(0, 4, 6), (4, 10, 3)]
    assert found[0].confidence == pytest.approx(0.85, abs=0.02)  # less at the change
    assert found[0].seconds == 4


def test_a_single_frame_of_another_emotion_is_smoothed_away() -> None:
    found = find_segments(spans(9), rows([6] * 4 + [5] + [6] * 4, 0.6))
    assert [s.emotion for s in found] == [6]


def test_two_emotions_that_are_about_as_likely_do_not_alternate() -> None:
    values = rows([6] * 12, 0.4)
    values[:, 3] = 0.4 + 0.08 * (-1) ** np.arange(12)
    assert len(find_segments(spans(12), values)) == 1


def test_short_stretches_join_the_neighbour_that_fits() -> None:
    values = rows([6] * 6 + [5] * 2 + [3] * 6)
    values[6:8, 3] = 0.4  # on the way to a smile already
    found = find_segments(spans(14, 0.1), values)
    assert [s.emotion for s in found] == [6, 3]
    assert found[0].end == pytest.approx(0.6)


def test_somebody_out_of_sight_has_no_emotion() -> None:
    times = spans(10)
    seen = [0, 1, 2, 7, 8, 9]
    found = find_segments(times[seen], rows([6] * 6))
    assert [(s.start, s.end) for s in found] == [(0, 3), (7, 10)]


def test_a_trend_is_the_change_of_the_probability() -> None:
    values = rows([3] * 9)
    values[:, 3] = np.linspace(0.5, 1, 9)
    (found,) = find_segments(spans(9), values)
    assert found.trend == pytest.approx(0.375, abs=0.05)
    assert find_segments(spans(9), values[::-1])[0].trend == pytest.approx(-found.trend)
    assert find_segments(spans(2), values[:2])[0].trend == 0


def test_smoothing_keeps_probabilities() -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(LABELS), 20).astype(np.float32)
    np.testing.assert_allclose(smoothed(values).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(smoothed(values[:1]), values[:1])


@given(st.data())
def test_stretches_cover_the_time_and_differ(draws: st.DataObject) -> None:
    times = sorted(draws.draw(st.sets(st.floats(0, 100, width=32), min_size=1, max_size=40)))
    labels = draws.draw(
        st.lists(st.integers(0, LABELS - 1), min_size=len(times), max_size=len(times))
    )
    whole = frame_spans(times, 101)
    found = find_segments(whole, rows(labels, draws.draw(st.floats(0.2, 1))))
    assert found[0].start == 0
    assert found[-1].end == 101
    for left, right in pairwise(found):
        assert left.end == right.start
        assert left.emotion != right.emotion
    assert all(0 <= s.confidence <= 1.0001 for s in found)
    if len(found) > 1:
        assert min(s.seconds for s in found) >= MIN_SECONDS
