"""Triton metrics of the model `tryon`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from guarded_metrics import GuardedMetrics, Series

OUTCOMES = ("answered", "input", "pose", "garment", "pipeline", "cancelled", "timeout", "full")
STEPS = ("PrepareInputs", "ResizeImages", "Inference", "CollectResult", "ClearGPUCache", "other")


class TryonMetrics(GuardedMetrics):
    """Counters by outcome and step, and a gauge of the load."""

    def __init__(self, model: str, messages: AbstractContextManager[Any]) -> None:
        """`model` labels every series; `messages` is locked for every message to the server."""
        super().__init__("pentad_tryon_model", model, messages)
        self.add("COUNTER", "jobs_total", "Jobs by how they ended", "outcome", OUTCOMES)
        self.add("COUNTER", "step_seconds_total", "Time of the steps", "step", STEPS)
        self.add("COUNTER", "steps_total", "Steps done", "step", STEPS)
        self.add("GAUGE", "load", "Jobs in the model by state", "state", ("running", "waiting"))
        self.start()

    def count(self, outcome: str, step_ms: Mapping[str, float] | None = None) -> None:
        """Count one job of OUTCOMES and the milliseconds of its steps."""
        amounts: dict[Series, float] = {("jobs_total", outcome): 1}
        for step, milliseconds in (step_ms or {}).items():
            label = step if step in STEPS else "other"  # users' steps have any names
            for name, amount in (("step_seconds_total", milliseconds / 1e3), ("steps_total", 1)):
                amounts[name, label] = amounts.get((name, label), 0) + amount
        self.increment(amounts)

    def show_load(self, running: int, waiting: int) -> None:
        """Show the jobs that are under way."""
        self.show({("load", "running"): running, ("load", "waiting"): waiting})
