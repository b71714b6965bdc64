"""What is told about each picture of an enrollment, and which of them are odd ones. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from faces.consistency import Embeddings, consistencies, odd_ones
from faces.pose import pose_matches
from faces.search import SearchResult
from numpy.typing import NDArray

from enrollment.refusals import RefusedError

DIFFERS = "face_differs"


def without_odd_ones(
    results: Sequence[SearchResult], embeddings: Embeddings, threshold: float
) -> tuple[list[SearchResult], list[NDArray[Any] | None]]:
    """Take the pictures that show somebody else out of account.

    Args:
        results: What each picture holds.
        embeddings: Of the pictures that count.
        threshold: See `faces.consistency.odd_ones`.

    Raises:
        RefusedError: `faces_differ`: no more than half of the pictures show one person.
    """
    odd = _not_of_the_person(embeddings, threshold)
    if odd and len(odd) == sum(embedding is not None for embedding in embeddings):
        raise RefusedError("faces_differ", f"index={odd[0]}")
    kept = [None if place in odd else embedding for place, embedding in enumerate(embeddings)]
    counted = [
        replace(result, crops=None, reason=DIFFERS) if place in odd else result
        for place, result in enumerate(results)
    ]
    return counted, kept


def reports(
    results: Sequence[SearchResult],
    poses: Sequence[str],
    embeddings: Embeddings,
    counted: Embeddings,
    threshold: float | None,
) -> list[dict[str, object]]:
    """One object per picture, as JSON; `SearchResult.report` and what the others say of it.

    Args:
        results: What each picture holds.
        poses: As declared, empty where they are not.
        embeddings: Of the pictures that may count.
        counted: Of those that do.
        threshold: See `faces.consistency.odd_ones`; None where nobody knows one.
    """
    rows: list[dict[str, object]] = []
    cosines = consistencies(embeddings, counted)
    odd = None if threshold is None else _not_of_the_person(embeddings, threshold)
    for place, (result, pose, cosine) in enumerate(zip(results, poses, cosines, strict=True)):
        quality = result.quality
        rows.append(
            {
                **result.report(),
                "quality": None if quality is None else quality.report(),
                "pose_matches": None if quality is None else pose_matches(pose, quality.pose),
                "consistency": None if cosine is None else round(cosine, 4),
                "consistent": None if cosine is None or odd is None else place not in odd,
            }
        )
    return rows


def _not_of_the_person(embeddings: Embeddings, threshold: float) -> list[int]:
    """Places of the odd ones; of all that count, where no more than half show one person."""
    odd = odd_ones(embeddings, threshold)
    counted = [place for place, embedding in enumerate(embeddings) if embedding is not None]
    return counted if odd and 2 * len(odd) >= len(counted) else odd
