"""The text service's scenarios and dialects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from load_tests import workload
from load_tests.client import Body
from load_tests.scenarios import Call, Dialect, Matrix, Scenario, Task


def _vectors(read: Callable[[dict[str, Any]], list[list[float]]]) -> Callable[[bytes], Matrix]:
    """Vectors of an answer, [items, 384]."""
    return lambda body: np.asarray(read(json.loads(body)), dtype=np.float64)


def _scores(body: bytes) -> Matrix:
    """Precision, recall and F1 of an answer, [items, 3]."""
    answer = json.loads(body)
    return np.asarray([answer[key] for key in ("precision", "recall", "f1")], dtype=np.float64).T


EMBED = Call(
    path="/embed",
    body=lambda texts: Body.json({"texts": texts}),
    values=_vectors(lambda answer: answer["embeddings"]),
)
BERTSCORE = Call(
    path="/bertscore",
    body=lambda pairs: Body.json({"candidates": pairs[0], "references": pairs[1]}),
    values=_scores,
)
OLD = Dialect("/health", {"embed": EMBED, "bertscore": BERTSCORE})
"""The contract's own interface; Pentad and the naive server speak it."""

EMBED_ONLY = Dialect("/health", {"embed": EMBED})
"""The LitServe peer's."""


def _openai(path: str) -> Dialect:
    call = Call(
        path=path,
        body=lambda texts: Body.json({"model": "minilm", "input": texts}),
        values=_vectors(lambda answer: [item["embedding"] for item in answer["data"]]),
    )
    return Dialect("/health", {"embed": call})


OPENAI = _openai("/embeddings")
"""Infinity's."""

OPENAI_V1 = _openai("/v1/embeddings")
"""vLLM's."""


def cosine_distance(got: Matrix, reference: Matrix) -> float:
    """Return 1 - the smallest cosine; infinity where a norm is not 1 within 1e-3."""
    norms = np.linalg.norm(got, axis=1)
    if np.abs(norms - 1).max() > 1e-3:
        return float("inf")
    cosines = (got * reference).sum(axis=1) / (norms * np.linalg.norm(reference, axis=1))
    return float(1 - cosines.min())


def largest_difference(got: Matrix, reference: Matrix) -> float:
    """Return the largest absolute difference."""
    return float(np.abs(got - reference).max())


TASKS = {"embed": Task(cosine_distance, 1e-3), "bertscore": Task(largest_difference, 1e-4)}

SCENARIOS = (
    Scenario(
        name="embed_short",
        service="text",
        task="embed",
        unit="texts",
        items=1,
        clients=32,
        inputs=lambda: workload.embed_short(4096),
        checked=64,
    ),
    Scenario(
        name="embed_mixed",
        service="text",
        task="embed",
        unit="texts",
        items=workload.TEXTS,
        clients=4,
        inputs=lambda: workload.embed_mixed(64),
        checked=2,
    ),
    *(
        Scenario(
            name=name,
            service="text",
            task="bertscore",
            unit="pairs",
            items=workload.PAIRS,
            clients=4,
            inputs=inputs,
            checked=2,
        )
        for name, inputs in (
            ("bertscore", lambda: workload.pairs(64, repeated=False)),
            ("bertscore_repeated", lambda: workload.pairs(64, repeated=True)),
        )
    ),
)
