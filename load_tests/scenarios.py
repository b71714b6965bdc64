"""What is asked of a server, and how each wire dialect says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from load_tests import workload

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Dialect:
    """Paths, bodies and answers of one HTTP interface."""

    embed_path: str
    embed_body: Callable[[list[str]], dict[str, object]]
    embed_answer: Callable[[dict[str, Any]], list[list[float]]]
    ready_path: str
    bertscore_path: str | None = None
    """None: the server has no BERTScore."""


OLD = Dialect(
    embed_path="/embed",
    embed_body=lambda texts: {"texts": texts},
    embed_answer=lambda answer: answer["embeddings"],
    ready_path="/health",
    bertscore_path="/bertscore",
)
"""The contract's own interface; Pentad and the naive server speak it."""

EMBED_ONLY = Dialect(OLD.embed_path, OLD.embed_body, OLD.embed_answer, OLD.ready_path)
"""As ``OLD`` without `/bertscore`; the LitServe peer speaks it."""

OPENAI = Dialect(
    embed_path="/embeddings",
    embed_body=lambda texts: {"model": "minilm", "input": texts},
    embed_answer=lambda answer: [item["embedding"] for item in answer["data"]],
    ready_path="/health",
)
"""Infinity's."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load."""

    name: str
    task: str
    """``embed`` or ``bertscore``."""
    unit: str
    """What an item of a request is called."""
    items: int
    """Items in one request."""
    clients: int
    inputs: Callable[[], list[Any]]
    """Makes the distinct requests' inputs."""
    checked: int
    """Answers to the first so many requests are compared with the reference."""

    def path(self, dialect: Dialect) -> str | None:
        """Return the path to POST to; None where the server has no such task."""
        return dialect.embed_path if self.task == "embed" else dialect.bertscore_path

    def body(self, dialect: Dialect, given: Any) -> dict[str, object]:
        """Return the JSON body for one request's inputs."""
        if self.task == "embed":
            return dialect.embed_body(given)
        candidates, references = given
        return {"candidates": candidates, "references": references}

    def values(self, dialect: Dialect, body: bytes) -> Matrix:
        """Read an answer: vectors [items, 384], or [items, 3] of precision, recall and F1."""
        answer = json.loads(body)
        if self.task == "embed":
            return np.asarray(dialect.embed_answer(answer), dtype=np.float64)
        parts = [answer[key] for key in ("precision", "recall", "f1")]
        return np.asarray(parts, dtype=np.float64).T


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("embed_short", "embed", "texts", 1, 32, lambda: workload.embed_short(4096), 64),
        Scenario(
            "embed_mixed", "embed", "texts", workload.TEXTS, 4, lambda: workload.embed_mixed(64), 2
        ),
        Scenario(
            "bertscore",
            "bertscore",
            "pairs",
            workload.PAIRS,
            4,
            lambda: workload.pairs(64, repeated=False),
            2,
        ),
        Scenario(
            "bertscore_repeated",
            "bertscore",
            "pairs",
            workload.PAIRS,
            4,
            lambda: workload.pairs(64, repeated=True),
            2,
        ),
    )
}


def deviation(task: str, got: Matrix, reference: Matrix) -> float:
    """Return how far an answer is off.

    For ``embed`` 1 - the smallest cosine between a vector and its reference, or infinity where a
    vector's norm is not 1 within 1e-3; for ``bertscore`` the largest absolute difference.
    """
    if got.shape != reference.shape or not np.isfinite(got).all():
        return float("inf")
    if task == "bertscore":
        return float(np.abs(got - reference).max())
    norms = np.linalg.norm(got, axis=1)
    if np.abs(norms - 1).max() > 1e-3:
        return float("inf")
    cosines = (got * reference).sum(axis=1) / (norms * np.linalg.norm(reference, axis=1))
    return float(1 - cosines.min())


TOLERANCE = {"embed": 1e-3, "bertscore": 1e-4}
"""Largest deviation of an answer that still counts as right (bf16 peers included)."""
