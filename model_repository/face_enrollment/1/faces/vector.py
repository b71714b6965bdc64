"""Embeddings of one person → the vector that is enrolled. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pooled(embeddings: Sequence[NDArray[Any]], *, unit: bool = True) -> NDArray[Any]:
    """Mean of all embeddings, each with the length the network gave it.

    Args:
        embeddings: FP32 [crops, dimensions] of each picture.
        unit: Whether it is brought to unit length.

    Returns:
        FP32 [dimensions].

    Raises:
        ValueError: The mean is zero or not finite, and so no vector of a person.
    """
    # In double precision and picture by picture, so that their order hardly matters.
    mean = np.concatenate(embeddings).astype(np.float64).mean(axis=0)
    length = np.linalg.norm(mean)
    if not (np.isfinite(length) and length > 0):
        raise ValueError("the embeddings have no direction")
    vector: NDArray[Any] = (mean / length if unit else mean).astype(np.float32)
    return vector
