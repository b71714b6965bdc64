"""The vision service's places: `/vision`, and the old server's port, where the dashboard was."""

from __future__ import annotations

from starlette.types import ASGIApp

from gateway.http.application import DOCS_FILES
from gateway.http.assembly import Assembly, Checks
from gateway.http.middleware.prefer_own import PreferOwn
from gateway.services.vision import routes
from gateway.services.vision.service import VisionService


def add(assembly: Assembly) -> None:
    """Add the service."""
    context = assembly.context
    settings = context.settings.vision
    service = VisionService(context)
    assembly.watch(service)
    application = routes.vision_application(service, context)

    def with_the_main_port(stack: ASGIApp) -> ASGIApp:
        return PreferOwn(application.router, stack, lambda: assembly.inner)

    assembly.add(
        service.name,
        application,
        "/vision",
        Checks(
            settings.max_body_bytes,
            open_paths=(*routes.OPEN_PATHS, "/docs", "/openapi.json", DOCS_FILES),
            cors_origins=settings.cors_origins,
            old_paths=routes.OLD_PATHS,
        ),
        port=settings.port,
        own_port=with_the_main_port,
    )
