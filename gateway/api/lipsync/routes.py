"""The tenants' REST interface below `/lipsync`; inference itself is gRPC."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.application import service_application
from gateway.api.body import json_body, read_body, read_query
from gateway.api.disconnect import unless_gone
from gateway.api.lipsync.schemas import (
    LoadRequest,
    TenantsQuery,
    device_json,
    tenant_json,
    tenant_page,
)
from gateway.api.lipsync.service import LipsyncService
from gateway.context import Context
from gateway.errors import JSON
from gateway.security import presented_keys
from gateway.settings.keys import CONTROL

DESCRIPTION = "Tenants of the lip-sync service and the devices they are on. Frames are gRPC."
_PREVIEW: dict[int | str, dict[str, Any]] = {
    200: {"description": "320x320 pixels", "content": {"image/png": {}}},
    404: {"description": "No such tenant"},
    422: {"description": "Its file cannot be loaded"},
    503: {"description": "Busy or down; Retry-After in seconds"},
}


def lipsync_application(service: LipsyncService, context: Context) -> FastAPI:
    """Return the REST interface without its middleware."""
    app = service_application("Pentad lip-sync", DESCRIPTION)
    pool, settings = service.pool, service.settings

    def allow_control(request: Request) -> None:
        if settings.separate_control_key:
            presented = presented_keys(Headers(scope=request.scope).get)
            counted = bool(request.scope.get("pentad.key"))  # by the service's own check
            context.keys.authorize(CONTROL, *presented, count=not counted)

    @app.get("/tenants", summary="Tenants by id, searched and paged")
    async def tenants(request: Request) -> Response:
        return _answer(tenant_page(pool.rows(), read_query(request, TenantsQuery)))

    @app.get("/devices", summary="Devices, their memory and their queues")
    async def devices(request: Request) -> Response:
        rows = pool.devices()
        body = {
            "devices": [device_json(row) for row in rows],
            "engine": rows[0].engine,
            "queue": {
                "in_flight": service.admission.in_flight,
                "waiting": service.admission.waiting,
                "slots": service.admission.slots,
            },
        }
        return _answer(body)

    @app.get("/tenants/{tenant}/preview", summary="One frame made now", responses=_PREVIEW)
    async def preview(request: Request) -> Response:
        picture = await unless_gone(request, service.preview(request.path_params["tenant"]))
        return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})

    @app.post(
        "/tenants/{tenant}/load",
        summary="Make a tenant resident; force_reload reads its file again",
        openapi_extra=json_body(LoadRequest),
    )
    async def load(request: Request) -> Response:
        allow_control(request)
        asked = await read_body(request, LoadRequest, default=LoadRequest())
        outcome = await pool.load(request.path_params["tenant"], asked.force_reload)
        return _answer(tenant_json(outcome.row) | {"load_ms": round(outcome.load_ms, 3)})

    @app.post("/tenants/{tenant}/unload", summary="Take a tenant out once its calls are finished")
    async def unload(request: Request) -> Response:
        allow_control(request)
        tenant = request.path_params["tenant"]
        pool.row(tenant)  # 404 for one that does not exist, rather than 409
        await pool.unload(tenant)
        return _answer(tenant_json(pool.row(tenant)))

    return app


def _answer(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)
