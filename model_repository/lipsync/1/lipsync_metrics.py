"""Triton metrics of the model `lipsync`. Figures by tenant are in `stats`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from guarded_metrics import GuardedMetrics, Series

OUTCOMES = ("answered", "refused", "not_loaded", "full", "cancelled", "deadline", "failed")
LOADS = ("loaded", "imported", "failed")


class LipsyncMetrics(GuardedMetrics):
    """Counters by outcome and gauges of the load."""

    def __init__(
        self,
        model: str,
        messages: AbstractContextManager[Any],
        tenants: Callable[[], tuple[int, int]],
    ) -> None:
        """Start the thread.

        Args:
            model: Label of every series.
            messages: Lock around everything that is a message to the server.
            tenants: Gives the resident tenants and the bytes of their weights.
        """
        super().__init__("pentad_lipsync", model, messages)
        self._tenants = tenants
        about = "Requests for frames by how they ended"
        self.add("COUNTER", "requests_total", about, "outcome", OUTCOMES)
        self.add("COUNTER", "tenant_loads_total", "Loads by outcome", "outcome", LOADS)
        self.add("COUNTER", "frames_total", "Frames answered")
        self.add("COUNTER", "compute_seconds_total", "Time of their requests")
        self.add("GAUGE", "load", "Requests in the model by state", "state", ("running", "waiting"))
        self.add("GAUGE", "tenants", "Resident tenants")
        self.add("GAUGE", "tenant_bytes", "Memory of their weights, measured")
        self.start()

    def count(self, outcome: str, frames: int = 0, seconds: float = 0.0) -> None:
        """Count one request of OUTCOMES and, when it was answered, its frames and time."""
        self.increment(
            {
                ("requests_total", outcome): 1,
                ("frames_total", None): frames,
                ("compute_seconds_total", None): seconds,
            }
        )

    def count_load(self, outcome: str) -> None:
        """Count one load of LOADS."""
        self.increment({("tenant_loads_total", outcome): 1})

    def show_load(self, running: int, waiting: int) -> None:
        """Show the requests that are under way."""
        self.show({("load", "running"): running, ("load", "waiting"): waiting})

    def levels(self) -> Mapping[Series, float]:
        """Return the residents of this moment."""
        tenants, memory_bytes = self._tenants()
        return {("tenants", None): tenants, ("tenant_bytes", None): memory_bytes}
