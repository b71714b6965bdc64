"""The service's place: `/v1/chat`, beside what other services have below `/v1`."""

from __future__ import annotations

from starlette.routing import Mount, Router

from gateway.http.assembly import Assembly, Checks
from gateway.http.openai_errors import openai_error
from gateway.services.vlm.routes import chat_application
from gateway.services.vlm.service import VlmService

PREFIX = "/v1/chat"


def add(assembly: Assembly) -> None:
    """Add the service."""
    service = VlmService(assembly.context)
    assembly.watch(service)
    assembly.model_lists[service.name] = lambda: service.names
    assembly.add(
        service.name,
        chat_application(service),
        PREFIX,
        Checks(service.settings.max_body_bytes, render=openai_error),
        port=service.settings.port,
        # The same address on its own port, so that clients differ in the port alone.
        own_port=lambda stack: Router(
            [Mount(PREFIX, stack)], redirect_slashes=False, default=stack
        ),
    )
