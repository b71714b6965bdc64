"""The try-on service's places: `/vton` and the old server's port."""

from __future__ import annotations

from gateway.http.assembly import Assembly, Checks
from gateway.services.tryon import routes
from gateway.services.tryon.service import TryonService


def add(assembly: Assembly) -> None:
    """Add the service."""
    context = assembly.context
    settings = context.settings.tryon
    service = TryonService(context)
    assembly.watch(service)
    open_paths = list(routes.OPEN_PATHS)
    if not context.settings.infer_needs_key:
        open_paths.append("/infer")
    if not settings.security.require_auth:  # but not others' jobs, which the old server never told
        open_paths += routes.DOCUMENTED_PATHS
    assembly.add(
        service.name,
        routes.tryon_application(service),
        "/vton",
        Checks(
            settings.max_body_bytes,
            header=routes.HEADER,
            open_paths=open_paths,
            cors_origins=settings.cors_origins,
            old_paths=routes.OLD_PATHS,
            exposed_headers=routes.EXPOSED_HEADERS,
        ),
        port=settings.port,
    )
