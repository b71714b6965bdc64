"""The iot service's places: `/iot`, and the old port with the paths of two old servers."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from gateway.http.application import DOCS_FILES
from gateway.http.assembly import Assembly, Checks
from gateway.http.middleware.prefer_own import PreferOwn
from gateway.http.middleware.target import UnderRoot
from gateway.http.openapi import merge_into
from gateway.services.iot import enrollment, routes
from gateway.services.iot.service import IotService

log = logging.getLogger(__name__)


def add(assembly: Assembly) -> None:
    """Add the service."""
    context = assembly.context
    settings = context.settings.iot
    service = IotService(context)
    assembly.watch(service)
    application = routes.iot_application(service, context)
    rest = _old_port(assembly, service, application)

    def under_its_prefix(stack: ASGIApp) -> ASGIApp:
        router = Router([Mount("/iot", stack)], redirect_slashes=False, default=rest)
        return UnderRoot(router, settings.root_path) if settings.root_path else router

    assembly.add(
        service.name,
        application,
        "/iot",
        Checks(
            settings.max_body_bytes,
            open_paths=routes.OPEN_PATHS,
            cors_origins=settings.cors_origins,
            old_paths=routes.OLD_PATHS,
        ),
        port=settings.port,
        own_port=under_its_prefix,
    )


def _old_port(assembly: Assembly, service: IotService, application: FastAPI) -> ASGIApp:
    """Return what the service's own port answers beside `/iot`."""
    context, settings = assembly.context, service.settings
    around = routes.legacy_application(service, context)
    wanted = context.settings.has_enrollment_routes
    modal = enrollment.enrollment_application(service) if wanted else None
    merge_into(around, {"/iot": application}, "health", {"enrollment": modal} if modal else {})
    if settings.port is not None:
        assembly.documented[settings.port] = around
    checks = Checks(
        settings.max_body_bytes,
        open_paths=(*routes.ROOT_PATHS, "/docs", "/openapi.json", DOCS_FILES),
        cors_origins=settings.cors_origins,
        old_paths=routes.ROOT_PATHS,
    )
    rest = assembly.protect(service.name, around, checks)
    if modal:
        return _before_others(assembly, service, modal, rest)
    if settings.enrollment_routes:
        log.warning("enrollment routes are off", extra={"reason": "server.workers is not 1"})
    return rest


def _before_others(
    assembly: Assembly, service: IotService, modal: FastAPI, rest: ASGIApp
) -> ASGIApp:
    """Return the old port's other routes with those of the enrollment modal's server."""
    checks = Checks(service.settings.max_body_bytes, render=enrollment.enrollment_error)
    stack = assembly.protect(service.name, modal, checks)
    own = Router([route for route in modal.routes if isinstance(route, APIRoute)])
    return PreferOwn(own, stack, lambda: rest)
