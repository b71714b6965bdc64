"""The service's place: `/v1/chat`, beside what other services have below `/v1`."""

from __future__ import annotations

from gateway.http.assembly import Assembly, Checks
from gateway.http.openai_errors import openai_error
from gateway.services.vlm.routes import chat_application
from gateway.services.vlm.service import VlmService


def add(assembly: Assembly) -> None:
    """Add the service."""
    service = VlmService(assembly.context)
    assembly.watch(service)
    assembly.model_lists[service.name] = lambda: service.names
    assembly.add(
        service.name,
        chat_application(service),
        "/v1/chat",
        Checks(service.settings.max_body_bytes, render=openai_error),
        port=service.settings.port,
    )
