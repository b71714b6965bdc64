"""Whether the pictures of an enrollment show one person, and the vector of it. numpy only.

A picture's vector is the mean of its crops' embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Embeddings = Sequence[NDArray[Any] | None]
"""FP32 [crops, dimensions] of each picture; None for one that does not count."""


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


def consistencies(embeddings: Embeddings, counted: Embeddings) -> list[float | None]:
    """Cosine of each picture's vector to the mean of the vectors of the others that count.

    Args:
        embeddings: Of the pictures that are told about.
        counted: Of those that count.

    Returns:
        One for each picture; None where it or the others have no vector.
    """
    cosines = []
    for place, own in enumerate(embeddings):
        others = [
            embedding
            for at, embedding in enumerate(counted)
            if embedding is not None and at != place
        ]
        cosines.append(None if own is None or not others else _cosine(own, others))
    return cosines


def odd_ones(embeddings: Embeddings, threshold: float) -> list[int]:
    """Places of the pictures that do not go with the others.

    The picture that goes with most others shows the person; those that do not go with it are odd.
    (Distance to the mean alone would pass two people with as many pictures each.)

    Args:
        embeddings: See there.
        threshold: Cosine from which two pictures go together.

    Returns:
        In order. As many as half of the pictures or more where nobody can say which are the odd
        ones.
    """
    counted = [place for place, embedding in enumerate(embeddings) if embedding is not None]
    vectors = [_vector(embedding) for embedding in embeddings if embedding is not None]
    if len(vectors) < 2:
        return []
    cosines = np.stack(vectors) @ np.stack(vectors).T
    together = cosines >= threshold
    # Where several go with as many, the one that is closest to all.
    middle = max(range(len(counted)), key=lambda at: (together[at].sum(), cosines[at].sum()))
    return [place for at, place in enumerate(counted) if not together[middle][at]]


def _vector(embedding: NDArray[Any]) -> NDArray[Any]:
    """Return the unit vector of a picture; zero where it has no direction."""
    mean = embedding.astype(np.float64).mean(axis=0)
    length = np.linalg.norm(mean)
    return mean / length if np.isfinite(length) and length > 0 else np.zeros_like(mean)


def _cosine(own: NDArray[Any], others: Sequence[NDArray[Any]]) -> float | None:
    mean = np.mean([embedding.astype(np.float64).mean(axis=0) for embedding in others], axis=0)
    a, b = _vector(own), _vector(mean[None])
    return float(np.clip(a @ b, -1, 1)) if a.any() and b.any() else None
