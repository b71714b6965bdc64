"""Reference answers, computed by sentence-transformers and bert-score themselves.

    python -m load_tests.golden SCENARIO --cache DIR

Runs in a process of its own, so that the load generator never imports torch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from load_tests.peers.checkpoint import checkpoint
from load_tests.scenarios import SCENARIOS, Matrix

LAYER = 6


def golden(name: str, cache: Path) -> dict[int, Matrix]:
    """Return the references of a scenario's checked requests by index, made once and kept.

    Raises:
        subprocess.CalledProcessError: the reference libraries failed.
    """
    given = _inputs(name)
    digest = hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]
    path = cache / "load_tests" / f"golden-{name}-{digest}.npz"
    if not path.is_file():
        command = [sys.executable, "-m", "load_tests.golden", name]
        command += ["--cache", str(cache), "--out", str(path)]
        subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    with np.load(path) as stored:
        return {int(key): stored[key] for key in stored}


def _inputs(name: str) -> list[Any]:
    scenario = SCENARIOS[name]
    return scenario.inputs()[: scenario.checked]


def _compute(name: str, model: Path) -> dict[str, Matrix]:
    if SCENARIOS[name].task == "embed":
        from sentence_transformers import SentenceTransformer

        embedder = SentenceTransformer(str(model), device="cpu")
        return {str(i): embedder.encode(texts) for i, texts in enumerate(_inputs(name))}
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(model), num_layers=LAYER, device="cpu")
    scores = [scorer.score(*pairs) for pairs in _inputs(name)]
    return {str(i): np.stack([part.numpy() for part in s], axis=1) for i, s in enumerate(scores)}


def main() -> None:
    """Compute one scenario's references."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = _compute(args.scenario, checkpoint(args.cache))
    partial = args.out.with_suffix(".partial.npz")
    np.savez(partial, **values)
    partial.rename(args.out)


if __name__ == "__main__":
    main()
