"""Matching against a direct transcription of the definition in the BERTScore paper."""

from __future__ import annotations

import numpy as np
import pytest
from bertscore_match import BLOCK, Sentence, score, score_all, token_weights
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

CLS, SEP = 101, 102
SPECIALS = frozenset((CLS, SEP))


def sentence(states: np.ndarray) -> Sentence:
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    ids = [CLS, *range(len(states) - 2), SEP]
    return Sentence(unit.astype(np.float32), token_weights(ids, SPECIALS))


def random_sentence(tokens: int, seed: int, shift: float = 1.0) -> Sentence:
    return sentence(np.random.default_rng(seed).normal(shift, 1, (tokens, 8)))


def by_definition(left: Sentence, right: Sentence) -> float:
    """Mean over the real tokens of `left` of the best cosine in `right`, specials included."""
    best = [max(float(a @ b) for b in right.states) for a in left.states]
    return float(np.mean(best[1:-1]))


@given(st.integers(3, 12), st.integers(3, 12), st.integers(0, 10_000))
def test_a_pair_alone_follows_the_definition(left: int, right: int, seed: int) -> None:
    candidate, reference = random_sentence(left, seed), random_sentence(right, seed + 1)
    precision, recall, f1 = score(candidate, reference)
    assert precision == pytest.approx(by_definition(candidate, reference), abs=1e-5)
    assert recall == pytest.approx(by_definition(reference, candidate), abs=1e-5)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-5)


def test_equal_sentences_score_one() -> None:
    same = random_sentence(9, 1)
    assert score(same, same) == pytest.approx((1, 1, 1), abs=1e-6)


def test_a_text_without_tokens_scores_zero() -> None:
    empty, other = random_sentence(2, 1), random_sentence(6, 2)
    assert score(empty, other) == score(other, empty) == score(empty, empty) == (0, 0, 0)


def test_special_ids_inside_the_text_carry_no_weight() -> None:
    weights = token_weights([CLS, 7, SEP, 8, SEP], SPECIALS)
    np.testing.assert_allclose(weights, [0, 0.5, 0, 0.5, 0])
    assert token_weights([CLS, SEP, SEP], SPECIALS).sum() == 0


def test_no_sum_of_zero_is_divided_by() -> None:
    left = sentence(np.array([[1, 0], [1, 0], [1, 0]], float))
    right = sentence(np.array([[0, 1], [0, 1], [0, 1]], float))
    assert score(left, right) == (0, 0, 0)


def test_padding_of_a_block_is_a_target_of_similarity_zero() -> None:
    left = sentence(np.array([[1, 0], [1, 0], [1, 0]], float))
    right = sentence(np.array([[-1, 0], [-1, 0], [-1, 0]], float))
    longer = random_sentence(5, 3)
    assert score_all([(left, right)])[0].tolist() == [-1, -1, -1]
    flat = Sentence(np.ones((5, 2), np.float32) / np.sqrt(2, dtype=np.float32), longer.weights)
    assert score_all([(left, right), (flat, flat)])[0].tolist() == [0, 0, 0]
    far = [(left, right), *[(left, right)] * (BLOCK - 1), (flat, flat)]
    assert score_all(far)[0].tolist() == [-1, -1, -1]


@given(
    hnp.arrays(np.float32, (6, 4), elements=st.floats(0.125, 1, width=32)),
    hnp.arrays(np.float32, (4, 4), elements=st.floats(0.125, 1, width=32)),
)
def test_swapping_the_texts_swaps_precision_and_recall(left: np.ndarray, right: np.ndarray) -> None:
    one, two = sentence(left), sentence(right)
    precision, recall, f1 = score(one, two)
    assert score(two, one) == pytest.approx((recall, precision, f1), abs=1e-6)
    assert all(-1e-6 <= value <= 1 + 1e-6 for value in (precision, recall, f1))
