"""What every service of the gateway shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.admission import Admission
from gateway.health.monitor import HealthMonitor
from gateway.health.state import ModelState
from gateway.lifecycle import Background
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
    _shared: dict[str, ModelState] = field(default_factory=dict)

    def shared_model(self, task: str, triton_model: str) -> ModelState:
        """Return the state of a model that several services may ask: one, so that one tends it."""
        return self._shared.setdefault(triton_model, ModelState(task, triton_model, ()))

    def admission(self, service: str, limits: Limits) -> Admission:
        """Return this process's share of a service's slots and queue."""
        workers = self.settings.server.workers
        return Admission(
            max(1, limits.max_concurrent // workers),
            limits.max_waiting // workers,
            limits.slot_wait_seconds,
            *self.metrics.admission(service),
        )


class Service(Background, ABC):
    """One of the services, as health, metrics and the life of the process see it.

    Attributes:
        name: as in the registry.
        models: its Triton models, in the order in which they are shown.
    """

    name: str
    models: list[ModelState]
    admission: Admission

    @abstractmethod
    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Run a small real inference and return the model's own description of itself.

        Raises:
            GatewayError: it fails, or does not answer in time.
        """
