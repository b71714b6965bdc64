"""Logits → the best classes with their confidences. Pure numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BEST = 5
"""Classes in an answer."""


def confidences(logits: NDArray[Any]) -> NDArray[Any]:
    """Softmax over the last axis; FP32 [..., classes] in and out."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    ranked: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return ranked


def best_classes(scores: NDArray[Any], count: int = BEST) -> NDArray[Any]:
    """Classes of the highest scores, best first; the lower class first where they are equal.

    Args:
        scores: [classes].
        count: How many; all of them where there are fewer.

    Returns:
        INT32 [min(count, classes)].
    """
    count = min(count, len(scores))
    best = np.argpartition(-scores, count - 1)[:count]
    ranked: NDArray[Any] = best[np.lexsort((best, -scores[best]))].astype(np.int32)
    return ranked
