"""Queries, bodies and answers of the tenants' REST interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr
from typing_extensions import TypeAliasType, TypedDict

from gateway.http.answers import described
from gateway.services.lipsync.tenants.views import DeviceRow, TenantRow
from gateway.services.lipsync.tenants.views import TenantState as RowState

HASH_DIGITS = 12  # of a graph's hash; enough to tell a handful of graphs apart


class TenantsQuery(BaseModel):
    """Which tenants to list."""

    search: str = Field("", max_length=128)
    offset: int = Field(0, ge=0)
    limit: int = Field(50, ge=1, le=500)


class LoadRequest(BaseModel):
    """How to load a tenant."""

    model_config = ConfigDict(extra="forbid")

    force_reload: StrictBool = False


class ClipRequest(BaseModel):
    """What a face is to say."""

    model_config = ConfigDict(extra="forbid")

    sound: StrictStr = Field(min_length=1, max_length=2**20, json_schema_extra={"format": "byte"})
    """Base64 of a WAV file, 16 kHz, mono, 16 bits a sample, two seconds at most."""


TenantState = TypeAliasType("TenantState", RowState)


@described
class Tenant(TypedDict):
    """One tenant of the lip-sync service; moments in seconds since the epoch."""

    id: str
    state: TenantState
    device: int | None
    pinned: bool
    """Never evicted."""
    preferred_device: int | None
    usage_count: int
    frames: int
    inference_ms_total: float
    memory_bytes: int
    last_used: float | None
    loaded: float | None
    graph: str | None
    """The first digits of the hash of its graph."""
    error: str | None
    """Why its last load failed."""


@described
class LoadedTenant(Tenant):
    """A tenant after a load."""

    load_ms: float
    """How long it took; about 0 when the tenant was resident."""


@described
class TenantPage(TypedDict):
    """Tenants by id; the counts are of all that were found."""

    total: int
    resident: int
    tenants: list[Tenant]


@described
class DeviceQueue(TypedDict):
    """Calls of one device."""

    in_flight: int
    waiting: int
    size: int


@described
class LipsyncDevice(TypedDict):
    """One device of the lip-sync service."""

    device: int
    model: str
    engine: str
    name: str
    cuda: bool
    healthy: bool
    memory_total_bytes: int
    memory_used_bytes: int
    memory_budget_bytes: int
    """For tenants."""
    resident: int
    resident_bytes: int
    """Memory of the tenants on it."""
    max_models: int
    """Most tenants over all devices."""
    queue: DeviceQueue


@described
class LipsyncQueue(TypedDict):
    """Calls of all devices."""

    in_flight: int
    waiting: int
    slots: int


@described
class LipsyncDevices(TypedDict):
    """Devices, their memory and their queues."""

    devices: list[LipsyncDevice]
    engine: str
    demo: bool
    """The tenants are the demo's, which are not trained."""
    hears: bool
    """There is an audio encoder: clips and `raw_audio` are answered."""
    queue: LipsyncQueue


def tenant_page(rows: Sequence[TenantRow], query: TenantsQuery) -> TenantPage:
    """Return one page of the tenants whose id holds ``query.search``, by id.

    `total` and `resident` count all that were found, not those of the page alone.
    """
    wanted = query.search.casefold()
    matching = sorted((row for row in rows if wanted in row.id.casefold()), key=lambda row: row.id)
    page = matching[query.offset : query.offset + query.limit]
    return {
        "total": len(matching),
        "resident": sum(row.state == "resident" for row in matching),
        "tenants": [tenant_json(row) for row in page],
    }


def tenant_json(row: TenantRow) -> Tenant:
    """Return one tenant as REST tells it: without its path."""
    told = {name: value for name, value in asdict(row).items() if name != "path"}
    milliseconds, graph = round(row.inference_ms_total, 3), row.graph and row.graph[:HASH_DIGITS]
    return cast(Tenant, {**told, "inference_ms_total": milliseconds, "graph": graph})


def device_json(row: DeviceRow) -> LipsyncDevice:
    """Return one device as REST tells it."""
    told = asdict(row)
    queue = {name: told.pop(name) for name in ("in_flight", "waiting")}
    queue["size"] = told.pop("queue_size")
    return cast(LipsyncDevice, {**told, "queue": queue})
