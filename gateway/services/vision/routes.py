"""`/health /infer /infer/batch /metrics/gpu /metrics/gpus`, the old ones as they were spoken."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.context import Context
from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.http.answers import answer
from gateway.http.application import service_application
from gateway.http.body import read_query
from gateway.http.declaration import WORK, at_most, declare
from gateway.http.disconnect import unless_gone
from gateway.services.vision.schemas import (
    BatchResult,
    GpuReport,
    Picture,
    Pictures,
    Samples,
    SamplesOfGpu,
    SingleGpuReport,
    VisionHealth,
)
from gateway.services.vision.schemas import Classification as ClassificationAnswer
from gateway.services.vision.service import Classification, VisionService
from gateway.services.vision.uploads import read_file, read_files
from gateway.telemetry.gpu import GpuHistory, UnknownGpuError
from gateway.triton.status import RETRY_AFTER

TITLE = "GPU-Accelerated Vision Inference Dashboard"  # the replaced server's, as is the version
VERSION = "0.1.0"
DESCRIPTION = "Image classification and GPU telemetry."
OPEN_PATHS = ("/health",)
OLD_PATHS = ("/health", "/infer", "/metrics/gpu")
"""What the old server had."""


def vision_application(service: VisionService, context: Context) -> FastAPI:
    """Return the vision API without its middleware."""
    app = service_application(TITLE, DESCRIPTION, version=VERSION)
    sampler = context.gpus

    @declare(
        app, "GET", "/health", "Whether requests will be served", answer=VisionHealth,
        errors=(UnavailableError,),
    )  # fmt: skip
    async def health(request: Request) -> Response:
        if context.monitor.service_state(service.name) != "ready":
            raise UnavailableError(retry_after=RETRY_AFTER)
        return answer({"status": "ok"})

    @declare(
        app, "POST", "/infer", "Classify a picture", answer=ClassificationAnswer, form=Picture,
        errors=WORK,
    )  # fmt: skip
    async def infer(request: Request) -> Response:
        image = await read_file(request, "file")
        classification = await unless_gone(request, service.classify(image))
        return answer(_classified(service, classification))

    @declare(
        app, "POST", "/infer/batch", "Classify several pictures", answer=BatchResult,
        form=at_most(Pictures, "files", service.settings.max_files), errors=WORK,
        description="One result per file, in order; a file that is refused yields its error.",
    )  # fmt: skip
    async def infer_batch(request: Request) -> Response:
        files = await read_files(request, "files", service.settings.max_files)
        classifications = await unless_gone(
            request, service.classify_many([image for _, image in files])
        )
        results = [
            {"error": {"status": result.status, "detail": result.detail}}
            if isinstance(result, GatewayError)
            else _classified(service, result)
            for result in classifications
        ]
        names = [{"filename": name} for name, _ in files]
        return answer(
            {"results": [name | result for name, result in zip(names, results, strict=True)]}
        )

    @declare(
        app, "GET", "/metrics/gpu", "The newest samples of one GPU, oldest first",
        answer=SingleGpuReport, query=SamplesOfGpu, errors=(NotFoundError,),
    )  # fmt: skip
    async def metrics_gpu(request: Request) -> Response:
        query = read_query(request, SamplesOfGpu)
        try:
            history = sampler.history(query.gpu, query.samples)
        except UnknownGpuError:
            raise NotFoundError(f"There is no GPU {query.gpu}") from None
        return answer({**_history(history), "interval_s": sampler.interval_seconds})

    @declare(
        app, "GET", "/metrics/gpus", "The newest samples of every GPU, oldest first",
        answer=GpuReport, query=Samples,
    )  # fmt: skip
    async def metrics_gpus(request: Request) -> Response:
        query = read_query(request, Samples)
        histories = sampler.histories(query.samples)
        return answer(
            {
                "gpus": [_history(history) for history in histories],
                "source": histories[0].source,
                "interval_s": sampler.interval_seconds,
            }
        )

    return app


def _classified(service: VisionService, classification: Classification) -> dict[str, Any]:
    top = [
        {"label": label, "confidence": confidence}
        for label, confidence in zip(classification.labels, classification.confidences, strict=True)
    ]
    return {
        "top1": top[0],
        "top5": top,
        "latency_ms": classification.latency_ms,
        "throughput_fps": 1000 / classification.latency_ms
        if classification.latency_ms > 0
        else 0.0,
        "engine": service.engine,
        "batch_size": classification.batch_size,
        "model": service.model.name,
    }


def _history(history: GpuHistory) -> dict[str, Any]:
    return {
        "samples": history.samples,
        "source": history.source,
        "device": history.device,
        "gpu": history.gpu,
        "state": history.state,
    }
