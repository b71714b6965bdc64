"""BERTScore without any server: a plain vectorised loop on all cores, the ceiling of a server.

    python -m load_tests.inprocess SCENARIO --cache DIR --seconds S

The encoder is the reference's own torch model, truncated to the scored layer. Each call removes
duplicates, sorts by length, encodes in batches and matches with numpy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from load_tests.golden import LAYER, golden
from load_tests.measure import Load
from load_tests.peers.checkpoint import checkpoint
from load_tests.scenarios import SCENARIOS, deviation

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 32


class Scorer:
    """The encoder and its tokenizer."""

    def __init__(self, model: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self._encoder = AutoModel.from_pretrained(model).eval()
        del self._encoder.encoder.layer[LAYER:]

    def score(self, candidates: Sequence[str], references: Sequence[str]) -> NDArray[np.float32]:
        """Return precision, recall and F1, [pairs, 3]."""
        texts = sorted({text.strip() for text in (*candidates, *references)}, key=len)
        vectors: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            tokens = self._tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
            with self._torch.inference_mode():
                hidden = self._encoder(**tokens).last_hidden_state
                hidden = self._torch.nn.functional.normalize(hidden, dim=-1).numpy()
            lengths = tokens["attention_mask"].sum(dim=1).tolist()
            vectors |= {t: h[:n] for t, h, n in zip(batch, hidden, lengths, strict=True)}
        scores = [
            _match(vectors[candidate.strip()], vectors[reference.strip()])
            for candidate, reference in zip(candidates, references, strict=True)
        ]
        return np.asarray(scores, dtype=np.float32)


def _match(candidate: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, ...]:
    """Return P, R and F1 of one pair of [tokens, dims]; the special tokens weigh nothing."""
    similarity = candidate @ reference.T
    precision = float(similarity.max(axis=1)[1:-1].mean())
    recall = float(similarity.max(axis=0)[1:-1].mean())
    return precision, recall, 2 * precision * recall / (precision + recall)


def measure(name: str, cache: Path, seconds: float) -> tuple[Load, float]:
    """Run the loop in a process of its own; return its load and the deviation of its answers.

    Raises:
        subprocess.CalledProcessError: the loop failed.
    """
    command = [sys.executable, "-m", "load_tests.inprocess", name]
    command += ["--cache", str(cache), "--seconds", str(seconds)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    figures = json.loads(out.splitlines()[-1])
    load = Load(latencies=figures["latencies"], rate=figures["rate"])
    load.statuses[200] = len(load.latencies)
    return load, figures["deviation"]


def main() -> None:
    """Measure one scenario and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=[n for n, s in SCENARIOS.items() if s.task != "embed"])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    requests: list[Any] = SCENARIOS[args.scenario].inputs()
    scorer = Scorer(checkpoint(args.cache))
    references = golden(args.scenario, args.cache)
    off = max(
        deviation("bertscore", scorer.score(*requests[i]).astype(np.float64), reference)
        for i, reference in references.items()
    )
    latencies: list[float] = []
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < args.seconds:
        scorer.score(*requests[len(latencies) % len(requests)])
        latencies.append(time.perf_counter() - start - elapsed)
    rate = len(latencies) / sum(latencies)
    print(json.dumps({"rate": rate, "latencies": latencies, "deviation": off}))


if __name__ == "__main__":
    main()
