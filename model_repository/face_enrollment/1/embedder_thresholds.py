"""From which cosine two vectors of an embedder are one person's. Pure Python."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Cosines.

    Attributes:
        same_person: Of two vectors, from which they are likely of one person.
        consistency: Of a picture to the mean of the others, below which it shows somebody else;
            lower, because a head that is turned away is further from the others.
    """

    same_person: float | None
    consistency: float | None


_MEASURED = {"faceplugin-mobilefacenet-512": Thresholds(same_person=0.5, consistency=0.4)}
"""By the name in the embedder's `1/metadata.json`; the evidence: docs/services/enrollment.md."""
_UNKNOWN = Thresholds(None, None)


def thresholds(embedder: str) -> Thresholds:
    """Those measured for an embedder; None each where nothing was."""
    return _MEASURED.get(embedder, _UNKNOWN)
