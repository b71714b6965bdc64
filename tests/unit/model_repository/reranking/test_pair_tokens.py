"""Tokens of pairs as one number each, and the scores of logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_tokens import activated, packed, unpacked
from row_encoding import pad

TOKENS = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 1)), min_size=1, max_size=9)


@given(st.lists(TOKENS, min_size=1, max_size=4), st.integers(0, 300))
def test_what_is_packed_comes_out_padded(rows: list[list[tuple[int, int]]], padding: int) -> None:
    numbers = [packed(*zip(*row, strict=True)) for row in rows]
    padded, mask = pad(numbers, padding)
    ids, types = unpacked(padded)
    for row, tokens in enumerate(rows):
        count = len(tokens)
        assert list(zip(ids[row, :count], types[row, :count], strict=True)) == tokens
        assert set(ids[row, count:]) <= {padding}
        assert not types[row, count:].any()
        assert mask[row].sum() == count


def test_activations() -> None:
    logits = np.array([[0.0], [2.0], [-1000.0], [1000.0]], np.float32)
    np.testing.assert_array_equal(activated(logits, "identity"), logits)
    scores = activated(logits, "sigmoid")
    assert scores.dtype == np.float32
    assert scores[:, 0] == pytest.approx([0.5, 0.880797, 0, 1], abs=1e-6)
