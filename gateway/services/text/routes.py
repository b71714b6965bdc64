"""`/health /info /status /bertscore /embed`, as the replaced server spoke them.

`/similarity` and `/tokenize` are those of text-embeddings-inference:
https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

import asyncio
from typing import Any

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
from gateway.services.text.embedding_options import EmbeddingOptions
from gateway.services.text.ranking import Ranking
from gateway.services.text.schemas import (
    BertScore,
    BertscoreRequest,
    Embeddings,
    EmbedRequest,
    Similarities,
    SimilarityRequest,
    TextHealth,
    TextInfo,
    TextStatus,
    TokenizeRequest,
    Tokens,
    documented,
)
from gateway.services.text.service import SCORES, TextService
from gateway.services.text.tokenization import listing
from gateway.telemetry.gpu import Gpu, read_nvml, read_triton
from gateway.telemetry.gpu.triton import texts
from gateway.triton.status import RETRY_AFTER

DESCRIPTION = "BERTScore, sentence embeddings, their similarity, and tokens."
HEADER = "x-api-key"
OPEN_PATHS = ("/health",)


def text_application(service: TextService, context: Context) -> FastAPI:
    """Return the text API without its middleware."""
    app = service_application("Pentad text API", DESCRIPTION)
    settings = service.settings
    limits = {"items": settings.max_batch_size, "characters": settings.max_text_length}
    bounds = Bounds(values=max(BOUNDS.values, 4 * settings.max_batch_size))
    ranking = Ranking(service)

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
        memory = await asyncio.to_thread(read_device, service.device, context)
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
        options = EmbeddingOptions(
            body.prompt_name, body.input_type, body.dimensions, body.truncate
        )
        preparation = await service.prepare(entry, options)
        vectors = await unless_gone(request, service.embed(body.texts, entry, preparation))
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

    @declare(
        app, "POST", "/similarity", "How alike a text is to others", answer=Similarities,
        body=documented(SimilarityRequest, service.embedders.names, limits), errors=WORK,
    )  # fmt: skip
    async def similarity(request: Request) -> Response:
        body = await read_body(request, SimilarityRequest, limits, bounds=bounds)
        entry, inputs = service.embedders.find(body.model), body.inputs
        work = ranking.score([inputs.source_sentence], inputs.sentences, entry)
        scores, _ = await unless_gone(request, work)
        return answer(scores.tolist())

    @declare(
        app, "POST", "/tokenize", "The tokens of texts", answer=Tokens,
        body=documented(TokenizeRequest, service.embedders.names, limits), errors=WORK,
        name="tokenize_texts",
    )  # fmt: skip
    async def tokenize(request: Request) -> Response:
        body = await read_body(request, TokenizeRequest, limits, bounds=bounds)
        entry = service.embedders.find(body.model)
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        listed = await unless_gone(request, service.tokenize(texts, entry))
        return answer(await listing(texts, listed, special=body.add_special_tokens))

    return app


def read_device(device: str, context: Context) -> dict[str, Any]:
    """Return the figures of the GPU that runs the models, null without one; blocks."""
    gpu: Gpu | None = None
    if device != "cpu":
        index = int(device.partition(":")[2] or 0)
        pages = texts(context.settings.triton.metrics_urls)
        gpu = read_nvml(index) or read_triton(next(pages, ""), index)
    return {
        "device_name": gpu.name if gpu else "cpu",
        "vram_total_mb": gpu.total_mb if gpu else None,
        "vram_used_mb": gpu.used_mb if gpu else None,
        # The field is part of the contract; PyTorch itself no longer runs the models.
        "pytorch_version": f"not used (Triton {context.monitor.triton_version or 'down'})",
        "cuda_version": gpu.cuda_version if gpu else None,
    }
