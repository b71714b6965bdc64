"""Softmax and the best classes, with ties and few classes."""

from __future__ import annotations

import numpy as np
from class_ranking import best_classes, confidences
from hypothesis import given
from hypothesis import strategies as st


def test_confidences_sum_to_one_and_do_not_overflow() -> None:
    logits = np.array([[1000, 0, -1000], [3, 3, 3]], np.float32)
    got = confidences(logits)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[1, 0, 0], [1 / 3] * 3], atol=1e-7)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5]), min_size=1, max_size=30))
def test_best_first_and_lower_class_first_where_equal(scores: list[float]) -> None:
    got = best_classes(np.array(scores, np.float32))
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:5]
    assert sorted(scores[i] for i in got) == sorted(scores[i] for i in expected)
    assert [scores[i] for i in got] == sorted((scores[i] for i in got), reverse=True)
    assert got.dtype == np.int32


def test_ties_within_the_best() -> None:
    scores = np.array([0.1, 0.3, 0.3, 0.05, 0.25, 0.2, 0.3], np.float32)
    assert best_classes(scores).tolist() == [1, 2, 6, 4, 5]
