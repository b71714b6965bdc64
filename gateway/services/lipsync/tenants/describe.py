"""Rows out of the pool's state."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.services.lipsync.tenants.catalogue import Entry
from gateway.services.lipsync.tenants.device import Device
from gateway.services.lipsync.tenants.replicas import COMING, Phase, Replica
from gateway.services.lipsync.tenants.usage import Usage
from gateway.services.lipsync.tenants.views import DeviceRow, TenantRow, TenantState
from gateway.settings.lipsync import LipsyncSettings

GIB = 2**30


def tenant_row(entry: Entry, replicas: Sequence[Replica], usage: Usage, epoch: float) -> TenantRow:
    """Return a tenant as it is.

    Args:
        entry: its catalogue entry.
        replicas: all of its.
        usage: its counters.
        epoch: epoch seconds at the zero of the clock of all moments.
    """
    resident = [one for one in replicas if one.phase is Phase.RESIDENT]
    coming = [one for one in replicas if one.phase in COMING]
    state: TenantState = "idle"
    if resident:
        state = "resident"
    elif coming:
        state = "loading"
    elif usage.error:
        state = "failed"
    first = min((*resident, *coming), key=lambda one: one.device.index, default=None)
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
        memory_bytes=sum(one.memory_bytes for one in resident),
        last_used=None if usage.last_used is None else usage.last_used + epoch,
        loaded=min((one.loaded for one in resident), default=0.0) + epoch if resident else None,
        graph=usage.graph or None,
        error=usage.error,
    )


def device_row(device: Device, replicas: Sequence[Replica], settings: LipsyncSettings) -> DeviceRow:
    """Return a device as it is; what its model says of the hardware is as of its last answer."""
    stats = device.stats
    resident = [one for one in replicas if one.phase is Phase.RESIDENT]
    return DeviceRow(
        device=device.index,
        model=device.model.triton_model,
        engine=stats.engine,
        name=stats.name,
        cuda=stats.kind == "cuda" and device.usable,
        memory_total_bytes=stats.memory_total_bytes,
        memory_used_bytes=stats.memory_used_bytes,
        memory_budget_bytes=round(settings.gpus.memory_gb_per_gpu * GIB)
        or stats.memory_total_bytes,
        resident=len(resident),
        resident_bytes=sum(one.memory_bytes for one in resident),
        max_models=settings.capacity.max_models,
        in_flight=device.admission.in_flight,
        waiting=device.admission.waiting + device.pending,
        queue_size=settings.server.queue_size,
        healthy=device.usable,
    )
