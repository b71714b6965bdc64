"""The tenants' REST interface below `/lipsync`; inference itself is gRPC."""

from __future__ import annotations

import pybase64
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from gateway.context import Context
from gateway.errors import NotFoundError, RefusedError
from gateway.http.answers import PNG, answer
from gateway.http.application import service_application
from gateway.http.body import read_body, read_query
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.security import presented_keys
from gateway.services.lipsync.audio.samples import samples_of
from gateway.services.lipsync.preview import MAX_SECONDS
from gateway.services.lipsync.schemas import (
    ClipRequest,
    LipsyncDevices,
    LoadedTenant,
    LoadRequest,
    Tenant,
    TenantPage,
    TenantsQuery,
    device_json,
    tenant_json,
    tenant_page,
)
from gateway.services.lipsync.service import LipsyncService
from gateway.services.lipsync.tenants.catalogue import UnknownTenantError
from gateway.services.lipsync.tenants.device import NotLoadedError, TenantLoadError
from gateway.settings.keys import CONTROL

DESCRIPTION = "Tenants of the lip-sync service and the devices they are on. Frames are gRPC."
_TENANT = (UnknownTenantError, TenantLoadError, *WORK)


def lipsync_application(service: LipsyncService, context: Context) -> FastAPI:
    """Return the REST interface without its middleware."""
    app = service_application("Pentad lip-sync", DESCRIPTION)
    pool, settings = service.pool, service.settings

    def allow_control(request: Request) -> None:
        if settings.separate_control_key:
            presented = presented_keys(Headers(scope=request.scope).get)
            counted = bool(request.scope.get("pentad.key"))  # by the service's own check
            context.keys.authorize(CONTROL, *presented, count=not counted)

    @declare(
        app, "GET", "/tenants", "Tenants by id, searched and paged", query=TenantsQuery,
        answer=TenantPage,
    )  # fmt: skip
    async def tenants(request: Request) -> Response:
        return answer(tenant_page(pool.rows(), read_query(request, TenantsQuery)))

    @declare(
        app, "GET", "/devices", "Devices, their memory and their queues", answer=LipsyncDevices
    )
    async def devices(request: Request) -> Response:
        rows = pool.device_rows()
        body = {
            "devices": [device_json(row) for row in rows],
            "engine": rows[0].engine,
            "demo": settings.uses_demo,
            "hears": service.audio is not None,
            "queue": {
                "in_flight": service.admission.in_flight,
                "waiting": service.admission.waiting,
                "slots": service.admission.slots,
            },
        }
        return answer(body)

    @declare(
        app, "GET", "/tenants/{tenant}/preview", "One frame made now, 320x320 pixels", answer=PNG,
        errors=_TENANT,
    )  # fmt: skip
    async def preview(request: Request) -> Response:
        picture = await unless_gone(request, service.preview(request.path_params["tenant"]))
        return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})

    @declare(
        app, "POST", "/tenants/{tenant}/clip",
        "Frames of a drawn face that says a sound, 25 a second, one below the other",
        body=ClipRequest, answer=PNG, errors=(*_TENANT, NotFoundError, RefusedError),
    )  # fmt: skip
    async def clip(request: Request) -> Response:
        body = await read_body(request, ClipRequest)
        try:
            file = pybase64.b64decode(body.sound, validate=True)
        except ValueError:
            raise RefusedError("The sound is no base64") from None
        making = service.clip(request.path_params["tenant"], samples_of(file, MAX_SECONDS))
        picture = await unless_gone(request, making)
        return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})

    @declare(
        app, "POST", "/tenants/{tenant}/load",
        "Make a tenant resident; force_reload reads its file again",
        body=LoadRequest, optional=True, answer=LoadedTenant, errors=_TENANT,
    )  # fmt: skip
    async def load(request: Request) -> Response:
        allow_control(request)
        body = await read_body(request, LoadRequest, default=LoadRequest())
        outcome = await pool.load(request.path_params["tenant"], body.force_reload)
        return answer({**tenant_json(outcome.row), "load_ms": round(outcome.load_ms, 3)})

    @declare(
        app, "POST", "/tenants/{tenant}/unload", "Take a tenant out once its calls are finished",
        answer=Tenant, errors=(*_TENANT, NotLoadedError),
    )  # fmt: skip
    async def unload(request: Request) -> Response:
        allow_control(request)
        tenant = request.path_params["tenant"]
        pool.row(tenant)  # 404 for one that does not exist, rather than 409
        await pool.unload(tenant)
        return answer(tenant_json(pool.row(tenant)))

    return app
