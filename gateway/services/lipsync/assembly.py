"""The lip-sync service's places: `/lipsync`, and the gRPC port."""

from __future__ import annotations

from gateway.http.assembly import Assembly, Checks
from gateway.services.lipsync.grpc.server import GrpcServer
from gateway.services.lipsync.routes import lipsync_application
from gateway.services.lipsync.service import LipsyncService


def add(assembly: Assembly) -> None:
    """Add the service."""
    context = assembly.context
    settings = context.settings.lipsync
    service = LipsyncService(context)
    assembly.watch(service)
    application = lipsync_application(service, context)
    assembly.add(service.name, application, "/lipsync", Checks(settings.max_body_bytes))
    if settings.port is not None:
        assembly.background.append(GrpcServer(context, assembly.lifecycle, service))
        scheme = "grpcs" if settings.server.tls.certificate else "grpc"
        host = context.settings.server.host
        assembly.urls[service.name].append(f"{scheme}://{host}:{settings.port}")
