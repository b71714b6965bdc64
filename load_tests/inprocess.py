"""BERTScore without any server: a plain vectorised loop on all cores, the ceiling of a server.

    python -m load_tests.inprocess SCENARIO --cache DIR --seconds S

Runs the ONNX graph that `make models` exports for Triton's token_encoder. Each call removes
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

from load_tests.catalogue import SCENARIOS, TASKS
from load_tests.golden import golden
from load_tests.measure import Load
from load_tests.peers.checkpoint import checkpoint
from load_tests.scenarios import deviation

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 16
"""Fastest on 2 cores (8, 16, 32 tried)."""
MAX_TOKENS = 512
ENCODER = Path("model_repository/token_encoder/1/model.onnx")


class Scorer:
    """The encoder and its tokenizer."""

    def __init__(self, tokenizer: Path, encoder: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        self._session = onnxruntime.InferenceSession(
            str(encoder), options, providers=["CPUExecutionProvider"]
        )

    def score(self, candidates: Sequence[str], references: Sequence[str]) -> NDArray[np.float32]:
        """Return precision, recall and F1, [pairs, 3]."""
        texts = sorted({text.strip() for text in (*candidates, *references)}, key=len)
        vectors: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            encoded = self._tokenizer.encode_batch(batch)
            tokens = {
                "input_ids": np.array([item.ids for item in encoded]),
                "attention_mask": np.array([item.attention_mask for item in encoded]),
            }
            (hidden,) = self._session.run(["token_embeddings"], tokens)
            lengths = tokens["attention_mask"].sum(axis=1)
            vectors |= {t: h[:n] for t, h, n in zip(batch, hidden, lengths, strict=True)}
        scores = [
            _match(vectors[candidate.strip()], vectors[reference.strip()])
            for candidate, reference in zip(candidates, references, strict=True)
        ]
        return np.asarray(scores, dtype=np.float32)


def _match(candidate: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, ...]:
    """Return P, R and F1 of one pair of [tokens, dims]; the special tokens weigh nothing.

    bert-score fills a batch's padding with similarity 0 before it takes the maximum, so that a
    token whose best match is negative scores 0.
    """
    similarity = np.maximum(candidate @ reference.T, 0)
    precision = float(similarity.max(axis=1)[1:-1].mean())
    recall = float(similarity.max(axis=0)[1:-1].mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def measure(name: str, cache: Path, seconds: float) -> tuple[Load, float]:
    """Run the loop in a process of its own; return its load and the deviation of its answers.

    Raises:
        subprocess.CalledProcessError: the loop failed.
    """
    command = [sys.executable, "-m", "load_tests.inprocess", name]
    command += ["--cache", str(cache), "--seconds", str(seconds)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = json.loads(out.splitlines()[-1])
    load = Load(latencies=figures["latencies"], rate=figures["rate"])
    load.statuses[200] = len(load.latencies)
    return load, figures["deviation"]


def main() -> None:
    """Measure one scenario and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "scenario", choices=[n for n, s in SCENARIOS.items() if s.task == "bertscore"]
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    requests: list[Any] = SCENARIOS[args.scenario].inputs()
    scorer = Scorer(checkpoint(args.cache) / "tokenizer.json", ENCODER)
    references = golden(args.scenario, args.cache)
    off = max(
        deviation(TASKS["bertscore"], scorer.score(*requests[i]).astype(np.float64), reference)
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
