"""Whether the pictures of an enrollment show one person. numpy only.

A picture's vector is the mean of its crops' embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Embeddings = Sequence[np.ndarray | None]
"""FP32 [crops, dimensions] of each picture; None for one that does not count."""


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
        others = [one for at, one in enumerate(counted) if one is not None and at != place]
        cosines.append(None if own is None or not others else _cosine(own, others))
    return cosines


def odd_ones(embeddings: Embeddings, threshold: float) -> list[int]:
    """Places of the pictures that do not go with the others.

    The one furthest from the others is taken out, and again, until all that are left go together.

    Args:
        embeddings: See there.
        threshold: Cosine to the mean of the others from which a picture goes with them.

    Returns:
        In order. As many as half of the pictures or more where nobody can say which are the odd
        ones.
    """
    left = list(embeddings)
    odd: list[int] = []
    while known := [(c, at) for at, c in enumerate(consistencies(left, left)) if c is not None]:
        worst, place = min(known)
        if worst >= threshold:
            break
        left[place] = None
        odd.append(place)
    return sorted(odd)


def _cosine(own: np.ndarray, others: Sequence[np.ndarray]) -> float | None:
    a = own.astype(np.float64).mean(axis=0)
    b = np.mean([one.astype(np.float64).mean(axis=0) for one in others], axis=0)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not (np.isfinite(length) and length > 0):
        return None
    return float(np.clip(a @ b / length, -1, 1))
