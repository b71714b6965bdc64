"""Pairs of texts as rows of the queue, and their scores. Pure Python and numpy, no Triton."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHIFT = 32
"""A token and the text of the pair that it belongs to travel as one number: the queue, which knows
texts alone, keeps them together."""


def packed(ids: Sequence[int], types: Sequence[int]) -> list[int]:
    """Return one number for each token.

    Args:
        ids: Token ids.
        types: 0 in the first text, 1 in the second.
    """
    return [token | kind << _SHIFT for token, kind in zip(ids, types, strict=True)]


def unpacked(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ids and types, INT64, of rows of :func:`packed` numbers."""
    return rows & (1 << _SHIFT) - 1, rows >> _SHIFT


def activated(logits: NDArray[Any], activation: str) -> NDArray[Any]:
    """Return scores, FP32, of logits.

    Args:
        logits: FP32.
        activation: `sigmoid` or `identity`, as the checkpoint says.
    """
    if activation == "identity":
        return logits
    with np.errstate(over="ignore"):  # of a large negative one, whose score is 0
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
