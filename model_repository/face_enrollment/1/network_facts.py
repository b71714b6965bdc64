"""What the networks say of themselves, for the answer's MODEL_INFO. Pure Python."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from embedder_thresholds import thresholds

_TOLD = ("model", "source", "license", "training", "sha256")


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
