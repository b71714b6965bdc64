"""`/health /test /gpu/status /version /metrics /tryon /infer`, as the old server spoke them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import (
    JSON,
    BadRequestError,
    BusyError,
    GatewayError,
    UnavailableError,
)
from gateway.http.answers import PNG, Error, answer
from gateway.http.application import service_application
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.services.tryon.forms import (
    FILES,
    PROVIDERS,
    InferFields,
    TryonFields,
    check_engine,
    check_form,
    check_pictures,
    parse_config,
)
from gateway.services.tryon.job_routes import add_job_routes
from gateway.services.tryon.jobs.database import StoreError
from gateway.services.tryon.jobs.inference import TryOn
from gateway.services.tryon.jobs.models import Job
from gateway.services.tryon.jobs.outcome import WORDS
from gateway.services.tryon.jobs.store import JobConflictError, QueueFullError
from gateway.services.tryon.schemas import (
    InferForm,
    TryonAccepted,
    TryonBusy,
    TryonFigures,
    TryonForm,
    TryonGpuStatus,
    TryonHealth,
    TryonTest,
    TryonVersion,
)
from gateway.services.tryon.service import TryonService
from gateway.services.tryon.upload import Form, read_form
from gateway.services.tryon.views import job_url, progress_words
from gateway.telemetry.log import where
from gateway.triton.status import RETRY_AFTER, WorkflowError

DESCRIPTION = "A person wears a garment: jobs with callbacks, or an answer at once."
HEADER = "x-internal-auth"
OPEN_PATHS = ("/health", "/test", "/version", "/metrics")
DOCUMENTED_PATHS = ("/tryon", "/gpu/status")
"""What the old server let everybody use with `require_auth: false`."""
OLD_PATHS = (*OPEN_PATHS, *DOCUMENTED_PATHS, "/infer")
"""What the old server had."""
EXPOSED_HEADERS = ("X-Inference-Time-Ms", "X-Job-Id", "X-Seed", "Location", "Retry-After")
QUEUED = "Job queued for processing"
NOT_LOADED = "Models not loaded yet"
GPU_BUSY = "GPU is busy"
BUSY_SECONDS = 5
log = logging.getLogger(__name__)
_HTTP = {
    "input": 400, "pose": 422, "garment": 422, "pipeline": 500, "cancelled": 499, "timeout": 504,
}  # fmt: skip


class ConflictError(GatewayError):
    """The job id is another job's, or the job's state does not allow it."""

    status, reason, default_detail = 409, "conflict", "A job with this id and another body exists"


class RunError(GatewayError):
    """A run failed, and the model said why."""

    def __init__(self, error: WorkflowError) -> None:
        step = f" ({error.step})" if error.step else ""
        super().__init__(WORDS.get(error.code, WORDS["pipeline"]) + step)
        self.status, self.reason = _HTTP.get(error.code, 500), error.code


def tryon_application(service: TryonService) -> FastAPI:
    """Return the try-on API without its middleware."""
    app = service_application("Pentad virtual try-on", DESCRIPTION)
    settings, model = service.settings, service.settings.model
    registry = CollectorRegistry()
    registry.register(service.figures)

    @declare(
        app, "GET", "/health", "That the server answers, and whether the model is loaded",
        answer=TryonHealth,
    )  # fmt: skip
    async def health(request: Request) -> Response:
        return answer({"status": "ok", "model_loaded": service.loaded, "node_id": service.node})

    @declare(app, "GET", "/test", "`hot` when jobs will be taken", answer=TryonTest)
    async def test(request: Request) -> Response:
        kind = model.model_type if service.loaded else None
        status = "hot" if service.loaded else "loading"
        detail = {} if service.loaded else {"detail": service.model.detail}
        return answer(
            {
                "status": status, "model_loaded": service.loaded, "node_id": service.node,
                "model_type": kind, **detail,
            }
        )  # fmt: skip

    @declare(
        app, "GET", "/gpu/status", "What the node does, and how many jobs wait",
        answer=TryonGpuStatus, errors=(UnavailableError,),
    )  # fmt: skip
    async def gpu_status(request: Request) -> Response:
        return answer(
            {
                "node_id": service.node,
                "busy": service.slot.current is not None,
                "current_job_id": service.slot.current,
                "queue_length": await service.jobs.store.queued(service.node),
            }
        )

    @declare(app, "GET", "/version", "Model, engine and build", answer=TryonVersion)
    async def version(request: Request) -> Response:
        return answer(
            {
                "model_type": model.model_type,
                "model_version": model.model_version,
                "backend": service.model.engine or model.engine,
                "git_commit": os.environ.get("GIT_COMMIT") or "unknown",
                "node_id": service.node,
            }
        )

    @declare(
        app, "GET", "/metrics", "JSON, or Prometheus text where Accept asks for it",
        answer={JSON: TryonFigures, "text/plain": str},
    )  # fmt: skip
    async def metrics(request: Request) -> Response:
        accept = request.headers.get("accept", "").lower()
        if "text/plain" in accept or "openmetrics" in accept:
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
        return answer(service.figures.values())

    @declare(
        app, "POST", "/tryon", "Accept a job", form=TryonForm, answer=TryonAccepted, status=202,
        errors=(UnavailableError, ConflictError), also={429: TryonBusy | Error},
        headers={"Location": "Path of the job."},
    )  # fmt: skip
    async def tryon(request: Request) -> Response:
        known = None
        await service.check_disk()
        async with _form(request, service) as form:
            fields = check_form(form, TryonFields)
            if fields["provider"] not in PROVIDERS:
                raise BadRequestError(f"Invalid provider: {fields['provider']}")
            require_loaded(service)
            if not await service.has_room(fields["job_id"]):
                return _busy()
            fields["options"] = parse_config(fields["config"])
            check_engine(fields["options"], service.model.engine)
            await asyncio.to_thread(check_pictures, form, settings.max_pixels)
            try:
                if not await service.submit(fields, digest_of(fields, form), form):
                    known = await service.jobs.store.get(fields["job_id"])
            except QueueFullError:
                return _busy()
            except JobConflictError:
                raise ConflictError from None
        accepted = {
            "status": "accepted",
            "job_id": fields["job_id"],
            "message": await standing(service, known) if known else QUEUED,
        }
        place = job_url(fields["job_id"], request.scope.get("root_path", ""))
        return answer(accepted, 202, {"Location": place})

    @declare(
        app, "POST", "/infer", "Answer with the picture", form=InferForm, answer=PNG, errors=WORK,
        headers={
            "X-Inference-Time-Ms": "Milliseconds of the inference.",
            "X-Job-Id": "Of the run.",
            "X-Seed": "What it was made from.",
        },
    )  # fmt: skip
    async def infer(request: Request) -> Response:
        async with _form(request, service) as form:
            options = check_form(form, InferFields)
            require_loaded(service)
            if service.slot.current is not None:
                raise _gpu_busy()
            await asyncio.to_thread(check_pictures, form, settings.max_pixels)
            try:
                run = service.direct(form, {**options, "output_format": "png"})
                identifier, result = await unless_gone(request, run)
            except BusyError:
                raise _gpu_busy() from None
            except WorkflowError as error:
                raise RunError(error) from None
        return _picture(identifier, result)

    @app.exception_handler(StoreError)
    @app.exception_handler(OSError)
    async def not_kept(request: Request, error: Exception) -> Response:
        log.error("not kept", extra=where(error))  # a database or disk that fails or is full
        return answer({"detail": UnavailableError.default_detail}, 503, {"Retry-After": "2"})

    add_job_routes(app, service)
    return app


def require_loaded(service: TryonService) -> None:
    """Refuse work while the model does not take any.

    Raises:
        UnavailableError: with the documented words.
    """
    if not service.loaded:
        raise UnavailableError(NOT_LOADED, retry_after=RETRY_AFTER)


def digest_of(fields: Mapping[str, Any], form: Form) -> str:
    """Return the SHA-256 of everything a caller sent, the order of the config's keys aside."""
    sent = {name: fields[name] for name in ("user_id", "session_id", "provider", "options")}
    sent |= {name: form.files[name].digest for name in FILES}
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


async def standing(service: TryonService, job: Job) -> str:
    """Return words for who has sent a job again: that it is known, and how far it is."""
    live = service.jobs.progress.get(job.id)
    line = await service.jobs.store.line() if job.state == "queued" else ()
    before = line.index(job.id) if job.id in line else None
    return f"Job already known: {progress_words(job, before, live)}"


def _form(request: Request, service: TryonService) -> Any:
    limit = service.settings.max_image_bytes
    return read_form(request, service.jobs.incoming, FILES, limit)


def _busy() -> Response:
    body = {
        "status": "busy",
        "message": "GPU server is currently busy",
        "retry_after": BUSY_SECONDS,
    }
    return answer(body, 429, {"Retry-After": str(BUSY_SECONDS)})


def _gpu_busy() -> GatewayError:
    error = GatewayError(GPU_BUSY, retry_after=BUSY_SECONDS)
    error.status, error.reason = 429, "busy"
    return error


def _picture(identifier: str, result: TryOn) -> Response:
    headers = {
        "X-Inference-Time-Ms": str(result.inference_ms),
        "X-Job-Id": identifier,
        "X-Seed": str(result.report.get("seed", "")),
        "Cache-Control": "no-store",
    }
    return Response(result.image, media_type=result.content_type, headers=headers)
