"""What every service of the gateway shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.admission import Admission
from gateway.health.monitor import HealthMonitor
from gateway.security import KeyRing
from gateway.settings import Settings
from gateway.telemetry.activity import Activity
from gateway.telemetry.gpu import GpuSampler
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from gateway.triton import TritonPort


class Limits(Protocol):
    """The part of a service's settings that bounds its work."""

    @property
    def max_concurrent(self) -> int:
        """Requests in work at once, over all processes."""

    @property
    def max_waiting(self) -> int:
        """Requests that may wait, over all processes."""

    @property
    def slot_wait_seconds(self) -> float:
        """Longest wait for a slot."""


@dataclass(frozen=True)
class Context:
    """Built once per process, inside the running event loop."""

    settings: Settings
    triton: TritonPort
    monitor: HealthMonitor
    metrics: Metrics
    tracing: Tracing
    keys: KeyRing
    gpus: GpuSampler
    activity: Activity

    def admission(self, service: str, limits: Limits) -> Admission:
        """Return this process's share of a service's slots and queue."""
        workers = self.settings.server.workers
        return Admission(
            max(1, limits.max_concurrent // workers),
            limits.max_waiting // workers,
            limits.slot_wait_seconds,
            *self.metrics.admission(service),
        )
