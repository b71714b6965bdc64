"""`/health /info /status /bertscore /embed`, as the replaced server spoke them."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.context import Context
from gateway.errors import UnavailableError
from gateway.http.answers import answer
from gateway.http.application import service_application
from gateway.http.body import BOUNDS, read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.http.outline import Bounds
from gateway.services.text.device import DeviceReader
from gateway.services.text.schemas import (
    BertScore,
    BertscoreRequest,
    Embeddings,
    EmbedRequest,
    TextHealth,
    TextInfo,
    TextStatus,
    documented,
)
from gateway.services.text.service import SCORES, TextService
from gateway.triton.status import RETRY_AFTER

DESCRIPTION = "BERTScore and sentence embeddings."
HEADER = "x-api-key"
OPEN_PATHS = ("/health",)


def text_application(service: TextService, context: Context) -> FastAPI:
    """Return the text API without its middleware."""
    app = service_application("Pentad text API", DESCRIPTION)
    settings = service.settings
    limits = {"items": settings.max_batch_size, "characters": settings.max_text_length}
    bounds = Bounds(values=max(BOUNDS.values, 4 * settings.max_batch_size))
    device = DeviceReader(context)

    @declare(
        app, "GET", "/health", "Whether requests will be served, and the device",
        answer=TextHealth, errors=(UnavailableError,),
    )  # fmt: skip
    async def health(request: Request) -> Response:
        if context.monitor.service_state(service.name) != "ready":
            raise UnavailableError(retry_after=RETRY_AFTER)
        return answer({"status": "ok", "device": service.device})

    @declare(app, "GET", "/info", "Device, memory and loaded models", answer=TextInfo)
    async def info(request: Request) -> Response:
        memory = await asyncio.to_thread(device.read, service.device)
        loaded = [
            f"{model.task}:{model.name}"
            for task in ("bertscore", "embed")
            for model in service.models
            if model.task == task and model.state == "ready"
        ]
        return answer({"device": service.device, **memory, "loaded_models": loaded})

    @declare(app, "GET", "/status", "Queue and running jobs", answer=TextStatus)
    async def status(request: Request) -> Response:
        admission = service.admission
        queue = {
            "max_concurrent": admission.slots,
            "in_flight": admission.in_flight,
            "available_slots": max(0, admission.slots - admission.in_flight),
            "waiting_estimate": admission.waiting,
        }
        return answer({"queue": queue, "active_jobs": service.active.as_json()})

    @declare(
        app, "POST", "/embed", "Sentence embeddings", answer=Embeddings, errors=WORK,
        body=documented(EmbedRequest, service.embedders.names, limits),
    )  # fmt: skip
    async def embed(request: Request) -> Response:
        body = await read_body(request, EmbedRequest, limits, bounds=bounds)
        entry = service.embedders.find(body.model)
        vectors = await unless_gone(request, service.embed(body.texts, entry))
        name = body.model or settings.embed_model
        return answer({"embeddings": vectors, "model": name, "dimensions": vectors.shape[1]})

    @declare(
        app, "POST", "/bertscore", "BERTScore precision, recall and F1", answer=BertScore,
        body=documented(BertscoreRequest, service.scorers.names, limits), errors=WORK,
    )  # fmt: skip
    async def bertscore(request: Request) -> Response:
        body = await read_body(request, BertscoreRequest, limits, bounds=bounds)
        entry = service.scorers.find(body.model_type, body.lang)
        work = service.score(body.candidates, body.references, entry)
        scores = await unless_gone(request, work)
        # As the old server: float32 widened to double, so every digit of the score is there.
        lists = {name.lower(): scores[name].astype(float) for name in SCORES}
        return answer({**lists, "model": entry.model.name or entry.name})

    return app
