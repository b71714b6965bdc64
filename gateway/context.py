"""What every service of the gateway shares."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.health.monitor import HealthMonitor
from gateway.security import KeyRing
from gateway.settings import Settings
from gateway.telemetry.activity import Activity
from gateway.telemetry.gpu import GpuSampler
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from gateway.triton import TritonPort


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
