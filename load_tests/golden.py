"""Reference answers, by sentence-transformers, bert-score, torchvision and a plain vectorizer.

    python -m load_tests.golden SCENARIO --cache DIR

Runs in a process of its own, so that the load generator never imports torch.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from load_tests.catalogue import SCENARIOS
from load_tests.peers.checkpoint import checkpoint
from load_tests.scenarios import Matrix

LAYER = 6


def golden(name: str, cache: Path) -> dict[int, Matrix]:
    """Return the references of a scenario's checked requests by index, made once and kept.

    Raises:
        subprocess.CalledProcessError: the reference libraries failed.
    """
    given = _inputs(name)
    digest = hashlib.sha256(pickle.dumps(given, protocol=4)).hexdigest()[:16]
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


def _vectors(given: list[Any], cache: Path) -> list[Matrix]:
    from sentence_transformers import SentenceTransformer

    embedder = SentenceTransformer(str(checkpoint(cache)), device="cpu")
    return [embedder.encode(texts) for texts in given]


def _scores(given: list[Any], cache: Path) -> list[Matrix]:
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(checkpoint(cache)), num_layers=LAYER, device="cpu")
    scores = [scorer.score(*pairs) for pairs in given]
    return [np.stack([part.numpy() for part in score], axis=1) for score in scores]


def _confidences(given: list[Any], cache: Path) -> list[Matrix]:
    from load_tests.peers.torch_classifier import BEST, TorchClassifier

    classifier = TorchClassifier(cache)
    prepared = [classifier.prepare(picture) for picture in given]
    return [classifier.classify([image])[0].topk(BEST).values.numpy() for image in prepared]


def _faces(given: list[Any], _: Path) -> list[Matrix]:
    from load_tests.peers.plain_faces import PlainFaces

    faces = PlainFaces(Path("model_repository"), 1)
    return [faces.vector(pictures)[None] for pictures in given]


_COMPUTE = {
    "embed": _vectors,
    "bertscore": _scores,
    "classify": _confidences,
    "enroll": _faces,
}


def main() -> None:
    """Compute one scenario's references."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    golden = _COMPUTE[SCENARIOS[args.scenario].task](_inputs(args.scenario), args.cache)
    values: dict[str, Any] = {str(index): value for index, value in enumerate(golden)}
    partial = args.out.with_suffix(".partial.npz")
    np.savez(partial, **values)
    partial.rename(args.out)


if __name__ == "__main__":
    main()
