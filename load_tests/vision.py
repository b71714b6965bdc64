"""The vision service's scenarios and dialect."""

from __future__ import annotations

import json

import numpy as np

from load_tests import pictures
from load_tests.client import Body
from load_tests.scenarios import Call, Dialect, Matrix, Scenario, Task

BEST = 5


def _confidences(body: bytes) -> Matrix:
    """Return the five confidences of an answer, best first."""
    best = json.loads(body)["top5"]
    return np.asarray([entry["confidence"] for entry in best], dtype=np.float64)


OLD = Dialect(
    "/health",
    {
        "classify": Call(
            path="/infer",
            body=lambda picture: Body.file("file", "picture.jpg", picture),
            values=_confidences,
        )
    },
)
"""The contract's own interface; all servers speak it."""


def largest_difference(got: Matrix, reference: Matrix) -> float:
    """Return the largest absolute difference of a confidence."""
    return float(np.abs(got - reference).max())


TASKS = {"classify": Task(largest_difference, 1e-3)}

SCENARIOS = (
    Scenario(
        name="classify",
        service="vision",
        task="classify",
        unit="pictures",
        items=1,
        clients=16,
        inputs=lambda: pictures.jpegs(256),
        checked=64,
    ),
)
