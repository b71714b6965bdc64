"""The text service's places: `/text` and the old server's port, and `/v1` as OpenAI's clients."""

from __future__ import annotations

from gateway.http.assembly import Assembly, Checks
from gateway.http.openai_errors import openai_error
from gateway.http.openai_models import PATH
from gateway.services.text import routes
from gateway.services.text.openai import text_models_application
from gateway.services.text.service import TextService


def add(assembly: Assembly) -> None:
    """Add the service."""
    context = assembly.context
    settings = context.settings.text
    service = TextService(context)
    assembly.watch(service)
    limit = settings.max_body_bytes
    assembly.add(
        service.name,
        routes.text_application(service, context),
        "/text",
        Checks(limit, header=routes.HEADER, open_paths=routes.OPEN_PATHS),
        port=settings.port,
    )
    lists = assembly.model_lists
    lists[service.name] = lambda: [*service.embedders.names, *service.rankers.names]
    assembly.add(
        service.name,
        text_models_application(service, lists),
        "/v1",
        Checks(limit, render=openai_error, shared={PATH: lists}),
    )
