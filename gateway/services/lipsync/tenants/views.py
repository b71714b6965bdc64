"""What is told about tenants and devices, to the gRPC API, REST and the dashboard alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
        model: Triton model that runs on it.
        engine: what computes, as the model says; empty before its first answer.
        name: of the hardware.
        cuda: whether it is a GPU that works.
        memory_total_bytes: of the hardware.
        memory_used_bytes: of the hardware, by everybody.
        memory_budget_bytes: for tenants: `memory_gb_per_gpu`, else all of the hardware's.
        resident: tenants on it.
        resident_bytes: their measured memory.
        max_models: most residents over all devices.
        in_flight: calls in work.
        waiting: calls that wait for a slot or for their tenant's load.
        queue_size: calls that may wait to be taken in, per device.
        healthy: whether it passes its canary.
    """

    device: int
    model: str
    engine: str
    name: str
    cuda: bool
    memory_total_bytes: int
    memory_used_bytes: int
    memory_budget_bytes: int
    resident: int
    resident_bytes: int
    max_models: int
    in_flight: int
    waiting: int
    queue_size: int
    healthy: bool


@dataclass(frozen=True)
class LoadOutcome:
    """A load that was asked for.

    Attributes:
        load_ms: how long it took; about 0 when the tenant was resident.
        row: the tenant after it.
    """

    load_ms: float
    row: TenantRow
