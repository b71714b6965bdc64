"""Queries, bodies and answers of the tenants' REST interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.tenants.rows import DeviceRow, TenantRow

HASH_DIGITS = 12  # of a graph's hash; enough to tell a handful of graphs apart


class TenantsQuery(BaseModel):
    """Which tenants to list."""

    search: str = Field("", max_length=128)
    offset: int = Field(0, ge=0)
    limit: int = Field(50, ge=1, le=500)


class LoadRequest(BaseModel):
    """How to load a tenant."""

    model_config = ConfigDict(extra="forbid")

    force_reload: bool = False


def tenant_page(rows: Sequence[TenantRow], query: TenantsQuery) -> dict[str, Any]:
    """Return one page of the tenants whose id holds ``query.search``, by id.

    `total` and `resident` count all that were found, not those of the page alone.
    """
    wanted = query.search.casefold()
    found = sorted((row for row in rows if wanted in row.id.casefold()), key=lambda row: row.id)
    page = found[query.offset : query.offset + query.limit]
    return {
        "total": len(found),
        "resident": sum(row.state == "resident" for row in found),
        "tenants": [tenant_json(row) for row in page],
    }


def tenant_json(row: TenantRow) -> dict[str, Any]:
    """Return one tenant as REST tells it."""
    return {
        "id": row.id,
        "state": row.state,
        "device": row.device,
        "pinned": row.pinned,
        "preferred_device": row.preferred_device,
        "usage_count": row.usage_count,
        "frames": row.frames,
        "inference_ms_total": round(row.inference_ms_total, 3),
        "memory_bytes": row.memory_bytes,
        "last_used": row.last_used,
        "loaded": row.loaded,
        "graph": row.graph[:HASH_DIGITS] if row.graph else None,
        "error": row.error,
    }


def device_json(row: DeviceRow) -> dict[str, Any]:
    """Return one device as REST tells it."""
    return {
        "device": row.device,
        "model": row.model,
        "engine": row.engine,
        "name": row.name,
        "cuda": row.cuda,
        "healthy": row.healthy,
        "memory_total_bytes": row.memory_total_bytes,
        "memory_used_bytes": row.memory_used_bytes,
        "memory_budget_bytes": row.memory_budget_bytes,
        "resident": row.resident,
        "resident_bytes": row.resident_bytes,
        "max_models": row.max_models,
        "queue": {
            "in_flight": row.in_flight,
            "waiting": row.waiting,
            "size": row.queue_size,
        },
    }
