"""What is asked of a server, how each wire dialect says it, and what a right answer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from load_tests.client import Body

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """How one HTTP interface is asked for one task."""

    path: str
    body: Callable[[Any], Body]
    """Makes the body for one request's inputs."""
    values: Callable[[bytes], Matrix]
    """Reads an answer."""


@dataclass(frozen=True)
class Dialect:
    """One HTTP interface."""

    ready_path: str
    calls: Mapping[str, Call]
    """By task; a task that the server does not have is missing."""


@dataclass(frozen=True)
class Task:
    """What answers are compared by."""

    deviation: Callable[[Matrix, Matrix], float]
    """How far an answer is off its reference; both have the same shape and are finite."""
    tolerance: float
    """Largest deviation of an answer that still counts as right (bf16 peers included)."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load."""

    name: str
    service: str
    task: str
    unit: str
    """What an item of a request is called."""
    items: int
    """Items in one request."""
    clients: int
    inputs: Callable[[], list[Any]]
    """Makes the distinct requests' inputs."""
    checked: int
    """Answers to the first so many requests are compared with the reference."""


def deviation(task: Task, got: Matrix, reference: Matrix) -> float:
    """Return how far an answer is off, infinity where it is no answer to this request."""
    if got.shape != reference.shape or not np.isfinite(got).all():
        return float("inf")
    return task.deviation(got, reference)
