"""`/v1/chat/completions`, in OpenAI's wire format, so that its clients work as they are."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import JSON
from gateway.http.answers import Events, answer
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.http.openai_errors import UnknownModelError
from gateway.http.openai_models import openai_application
from gateway.http.outline import Bounds
from gateway.large_work import worked
from gateway.services.vlm.answers import EventStream, Wording
from gateway.services.vlm.conversation import read_conversation, sent_characters
from gateway.services.vlm.schemas import ChatCompletion, ChatRequest
from gateway.services.vlm.service import Piece, VlmService

DESCRIPTION = "Chat about texts, pictures and clips with a vision-language model."
BOUNDS = Bounds(base64=True)


def chat_application(service: VlmService) -> FastAPI:
    """Return the API without its middleware."""
    app = openai_application(DESCRIPTION)
    settings = service.settings

    @declare(
        app, "POST", "/completions", "An answer, whole or as it is generated", body=ChatRequest,
        answer={JSON: ChatCompletion, "text/event-stream": Events},
        errors=(UnknownModelError, *WORK),
    )  # fmt: skip
    async def completions(request: Request) -> Response:
        body = await read_body(request, ChatRequest, bounds=BOUNDS)
        service.require(body.model)
        size = sent_characters(body)
        conversation = await worked(size, read_conversation, body, settings, service.limits)
        wording = Wording(
            body.model,
            body.include_reasoning is not False,
            bool(body.stream_options and body.stream_options.include_usage),
        )
        pieces = service.pieces(conversation)
        if not body.stream:
            return answer(wording.completion(await unless_gone(request, _only(pieces))))
        # Before the first piece, errors still have a status.
        first = await unless_gone(request, anext(pieces))
        return EventStream(wording.events(first, pieces), pieces)

    return app


async def _only(pieces: AsyncGenerator[Piece, None]) -> Piece:
    (piece,) = [piece async for piece in pieces]
    return piece
