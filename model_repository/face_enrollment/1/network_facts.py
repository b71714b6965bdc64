"""What the networks say of themselves, and which cosines of their vectors mean one person."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

_TOLD = ("model", "source", "license", "training", "sha256")


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


def network_facts(detector: Path, embedder: Path) -> str:
    """JSON: model, dimensions and thresholds of the vector, then name and origin of both networks.

    Args:
        detector: Version folder with `detector.json`.
        embedder: Version folder with `metadata.json`.

    Raises:
        OSError: A file is missing: the network was not exported.
        KeyError: It lacks a field.
        ValueError: It is no JSON.
    """
    detects = json.loads((detector / "detector.json").read_text(encoding="utf-8"))
    embeds = json.loads((embedder / "metadata.json").read_text(encoding="utf-8"))
    facts = {
        "model": embeds["model"],
        "dimensions": embeds["dimensions"],
        "detector": {name: detects[name] for name in (*_TOLD, "decoder")},
        "embedder": {name: embeds[name] for name in _TOLD},
        "thresholds": asdict(thresholds(embeds["model"])),
    }
    return json.dumps(facts)
