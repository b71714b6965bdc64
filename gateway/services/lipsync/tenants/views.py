"""What is told about tenants and devices, to the gRPC API, REST and the dashboard alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.services.lipsync.tenants.catalogue import TenantEntry
from gateway.services.lipsync.tenants.device import Device
from gateway.services.lipsync.tenants.replicas import COMING, Phase, Replica, Usage
from gateway.settings.lipsync import LipsyncSettings

TenantState = Literal["resident", "loading", "idle", "failed"]


@dataclass(frozen=True)
class TenantRow:
    """One tenant now.

    Attributes:
        id: its id.
        path: its file as configured.
        state: `resident` on a device, `loading`, `idle` (loaded when needed), or `failed` (its
            last load did).
        device: index of the device it is on; of the first, where it is on several.
        pinned: never evicted.
        preferred_device: device it is placed on, None: any.
        usage_count: calls answered.
        frames: frames answered.
        inference_ms_total: computation of those calls, milliseconds.
        memory_bytes: measured, over all its devices; 0 while it is not resident.
        last_used: epoch seconds of its last call, None: never.
        loaded: epoch seconds of its load, None while it is not resident.
        graph: hash of its graph, None until its first load.
        error: why its last load failed, for a person.
    """

    id: str
    path: str
    state: TenantState
    device: int | None
    pinned: bool
    preferred_device: int | None
    usage_count: int
    frames: int
    inference_ms_total: float
    memory_bytes: int
    last_used: float | None
    loaded: float | None
    graph: str | None
    error: str | None


@dataclass(frozen=True)
class DeviceRow:
    """One device now.

    Attributes:
        device: index.
        engine: what computes, as the model says; empty before its first answer.
        cuda: whether it is a GPU that works.
        healthy: whether it passes its canary.
        memory_total_bytes: of the hardware.
        memory_used_bytes: of the hardware, by everybody.
        memory_budget_bytes: for tenants: `memory_gb_per_gpu`, else all of the hardware's.
        resident: tenants on it.
        resident_bytes: their measured memory.
        max_models: most residents over all devices.
        waiting: calls that wait for a slot or for their tenant's load.
        queue_size: calls that may wait to be taken in, per device.
    """

    device: int
    model: str
    engine: str
    name: str
    cuda: bool
    healthy: bool
    memory_total_bytes: int
    memory_used_bytes: int
    memory_budget_bytes: int
    resident: int
    resident_bytes: int
    max_models: int
    in_flight: int
    waiting: int
    queue_size: int


@dataclass(frozen=True)
class LoadOutcome:
    """A load that was asked for.

    Attributes:
        load_ms: how long it took; about 0 when the tenant was resident.
        row: the tenant after it.
    """

    load_ms: float
    row: TenantRow


GIB = 2**30


def tenant_row(
    entry: TenantEntry, replicas: Sequence[Replica], usage: Usage, epoch: float
) -> TenantRow:
    """Return a tenant as it is.

    Args:
        entry: its catalogue entry.
        replicas: all of its.
        usage: its counters.
        epoch: epoch seconds at the zero of the clock of all moments.
    """
    resident = [replica for replica in replicas if replica.phase is Phase.RESIDENT]
    coming = [replica for replica in replicas if replica.phase in COMING]
    state: TenantState = "idle"
    if resident:
        state = "resident"
    elif coming:
        state = "loading"
    elif usage.error:
        state = "failed"
    first = min((*resident, *coming), key=lambda replica: replica.device.index, default=None)
    return TenantRow(
        id=entry.tenant,
        path=entry.path,
        state=state,
        device=first.device.index if first else None,
        pinned=entry.pinned,
        preferred_device=entry.preferred,
        usage_count=usage.calls,
        frames=usage.frames,
        inference_ms_total=usage.inference_ms,
        memory_bytes=sum(replica.memory_bytes for replica in resident),
        last_used=None if usage.last_used is None else usage.last_used + epoch,
        loaded=min((replica.loaded for replica in resident), default=0.0) + epoch
        if resident
        else None,
        graph=usage.graph or None,
        error=usage.error,
    )


def device_row(device: Device, replicas: Sequence[Replica], settings: LipsyncSettings) -> DeviceRow:
    """Return a device as it is; what its model says of the hardware is as of its last answer."""
    stats = device.stats
    resident = [replica for replica in replicas if replica.phase is Phase.RESIDENT]
    return DeviceRow(
        device=device.index,
        model=device.model.triton_model,
        engine=stats.engine,
        name=stats.name,
        cuda=stats.kind == "cuda" and device.usable,
        healthy=device.usable,
        memory_total_bytes=stats.memory_total_bytes,
        memory_used_bytes=stats.memory_used_bytes,
        memory_budget_bytes=round(settings.gpus.memory_gb_per_gpu * GIB)
        or stats.memory_total_bytes,
        resident=len(resident),
        resident_bytes=sum(replica.memory_bytes for replica in resident),
        max_models=settings.capacity.max_models,
        in_flight=device.admission.in_flight,
        waiting=device.admission.waiting + device.pending,
        queue_size=settings.server.queue_size,
    )


_GAUGES = {
    "resident": "Tenants on a device.",
    "resident_bytes": "Measured memory of a device's tenants.",
    "memory_budget_bytes": "Memory for tenants on a device.",
    "memory_used_bytes": "Memory in use on a device's hardware.",
    "in_flight": "Calls in a device's model.",
    "waiting": "Calls that wait for a device or a load on it.",
    "healthy": "1 when the device's canary passes.",
}
"""Fields of a device's row that are metrics, and what they are."""


class PoolCollector(Collector):
    """What the pool holds at the moment of a scrape."""

    def __init__(
        self,
        devices: Callable[[], Sequence[DeviceRow]],
        tenants: Callable[[], Sequence[TenantRow]],
    ) -> None:
        self._devices = devices
        self._tenants = tenants

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        states = GaugeMetricFamily(
            "pentad_lipsync_tenants", "Configured tenants by state.", labels=["state"]
        )
        counts = dict.fromkeys(("resident", "loading", "idle", "failed"), 0)
        for tenant in self._tenants():
            counts[tenant.state] += 1
        for state, count in counts.items():
            states.add_metric([state], count)
        yield states
        rows = self._devices()
        for name, text in _GAUGES.items():
            family = GaugeMetricFamily(f"pentad_lipsync_device_{name}", text, labels=["device"])
            for row in rows:
                family.add_metric([str(row.device)], getattr(row, name))
            yield family
