"""Jobs that were accepted: their state, progress, pictures, cancellation and redelivery."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.http.answers import PICTURE, Events, answer
from gateway.http.body import read_query
from gateway.http.declaration import declare
from gateway.services.tryon.image_header import AVIF, HEIC
from gateway.services.tryon.jobs.events import wait_for_event
from gateway.services.tryon.jobs.files import COMPARISON, GARMENT, PERSON, sample_name
from gateway.services.tryon.jobs.models import ACTIVE, REDELIVERABLE, Job
from gateway.services.tryon.schemas import JobCancelled, JobIdInPath, TryonJob, TryonJobPage
from gateway.services.tryon.service import TryonService
from gateway.services.tryon.views import (
    JobsQuery,
    ResultQuery,
    as_dated,
    cursor_of,
    job_json,
    read_cursor,
)

HEARTBEAT = 15.0  # seconds of silence after which an event stream says that it is alive
POLL = 1.0  # seconds between looks at a job that another gateway runs
NO_PICTURE = "The job has no such picture"
NO_JOB = "There is no job with this id"
_POSSIBLE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,512}")
UNDER_WAY = (*ACTIVE, "delivering")
_ID = {"job_id": JobIdInPath}
_FOUND = (NotFoundError, UnavailableError)


class StateError(GatewayError):
    """The job's state does not allow it."""

    status, reason, default_detail = 409, "conflict", "The job's state does not allow this"


class GoneError(GatewayError):
    """The pictures have had their time."""

    status, reason, default_detail = 410, "gone", "The job's pictures have expired"


def add_job_routes(app: FastAPI, service: TryonService) -> None:
    """Add the routes below `/jobs`."""
    store = service.jobs.store

    async def found(request: Request) -> Job:
        job = await store.get(id_in(request))
        if job is None:
            raise NotFoundError(NO_JOB)
        return job

    def shown(job: Job, request: Request, line: Sequence[str]) -> TryonJob:
        position = line.index(job.id) if job.id in line else None
        live = service.jobs.progress.get(job.id)
        dated = as_dated(job, service.jobs.clock.shift)
        return job_json(dated, request.scope.get("root_path", ""), position, live)

    async def view(job: Job, request: Request) -> TryonJob:
        return shown(job, request, await store.line() if job.state == "queued" else ())

    @declare(
        app, "GET", "/jobs", "Jobs, newest first", query=JobsQuery, answer=TryonJobPage,
        errors=(UnavailableError,),
    )  # fmt: skip
    async def jobs(request: Request) -> Response:
        query = read_query(request, JobsQuery)
        before = read_cursor(query.cursor) if query.cursor else None
        page = await store.page(query.state, query.limit + 1, before)
        chosen = page[: query.limit]
        line = await store.line() if any(job.state == "queued" for job in chosen) else ()
        body = {
            "jobs": [shown(job, request, line) for job in chosen],
            "next": cursor_of(chosen[-1]) if len(page) > len(chosen) else None,
            "counts": await store.counts(),
        }
        return answer(body)

    @declare(
        app, "GET", "/jobs/{job_id:path}/events", "Server-sent events until the job is over",
        answer={"text/event-stream": Events}, parameters=_ID, errors=_FOUND,
    )  # fmt: skip
    async def events(request: Request) -> Response:
        first = await found(request)

        async def stream() -> AsyncIterator[bytes]:
            with service.jobs.events.watch(first.id) as changed:
                sent, silent = b"", 0.0
                while True:
                    job = await store.get(first.id)
                    if job is None:
                        break
                    data = orjson.dumps(await view(job, request))
                    if data != sent:
                        sent, silent = data, 0.0
                        yield b"event: progress\ndata: " + data + b"\n\n"
                    pending = any(delivery.state == "pending" for delivery in job.deliveries)
                    if job.state not in UNDER_WAY and not pending:
                        break
                    if service.dispatcher.draining:
                        return  # without an end: the client asks the next gateway
                    if not await wait_for_event(changed, POLL):
                        silent += POLL
                    if silent >= HEARTBEAT:
                        silent = 0.0
                        yield b": alive\n\n"
            yield b"event: end\ndata: " + (sent or b"null") + b"\n\n"

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)

    def add_picture(name: str, summary: str, query: type[ResultQuery] | None = None) -> None:
        @declare(
            app, "GET", f"/jobs/{{job_id:path}}/{name}", summary, name=f"job_{name}",
            answer=PICTURE, parameters=_ID, errors=(*_FOUND, StateError, GoneError),
            also={304: None}, query=query,
        )  # fmt: skip
        async def picture(request: Request) -> Response:
            sample = read_query(request, query).sample if query else 1
            job = await found(request)
            return await _picture(service, request, job, name, sample)

    add_picture("result", "The picture that was made, or one of several", ResultQuery)
    add_picture(COMPARISON, "Person, garment and result side by side, where that was asked for")
    add_picture(PERSON, "The person's picture as it was sent")
    add_picture(GARMENT, "The garment's picture as it was sent")

    @declare(
        app, "POST", "/jobs/{job_id:path}/redeliver", "Send the callbacks again", status=202,
        answer=TryonJob, parameters=_ID, errors=(*_FOUND, StateError),
    )  # fmt: skip
    async def redeliver(request: Request) -> Response:
        job = await found(request)
        if job.state not in REDELIVERABLE:
            raise StateError
        if all(delivery.state == "skipped" for delivery in job.deliveries):
            raise StateError("No receiver was configured for this job")
        after = await service.redeliver(job.id) or job
        return answer(await view(after, request), 202)

    @declare(
        app, "GET", "/jobs/{job_id:path}", "One job", name="job", answer=TryonJob, parameters=_ID,
        errors=_FOUND,
    )  # fmt: skip
    async def one(request: Request) -> Response:
        return answer(await view(await found(request), request))

    @declare(
        app, "DELETE", "/jobs/{job_id:path}", "Cancel a job that is queued or running", status=202,
        answer=JobCancelled, parameters=_ID, errors=(*_FOUND, StateError),
    )  # fmt: skip
    async def cancel(request: Request) -> Response:
        job = await service.cancel(id_in(request))
        if job is None:
            raise NotFoundError(NO_JOB)
        if job.state not in ACTIVE:
            raise StateError
        after = await store.get(job.id) or job
        return answer({"job_id": job.id, "state": after.state}, 202)


def id_in(request: Request) -> str:
    """Return the job id in the path.

    Raises:
        NotFoundError: no job can have such an id, and not every database could be asked for it.
    """
    job_id = str(request.path_params["job_id"])
    if not _POSSIBLE.fullmatch(job_id):
        raise NotFoundError(NO_JOB)
    return job_id


async def _picture(
    service: TryonService, request: Request, job: Job, name: str, sample: int
) -> Response:
    if job.state == "expired":
        raise GoneError
    if name in ("result", COMPARISON) and job.result is None:
        raise StateError("The job has no result")
    if sample > max(1, job.samples):
        raise NotFoundError(NO_PICTURE)
    stored = sample_name(job.result or "", sample) if name == "result" else name
    tag = f'"{job.folder}-{stored}"'
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers={"ETag": tag})
    data = await service.jobs.files.read(job.folder, stored)
    if data is None:
        raise NotFoundError(NO_PICTURE)
    kind = (job.content_type or "image/png") if name == "result" else _kind(data)
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60", **_SAFE}
    return Response(data, media_type=kind, headers=headers)


_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}


def _kind(data: bytes) -> str:
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data[4:8] == b"ftyp":
        return AVIF if b"avi" in data[8:64] else HEIC
    return "image/jpeg" if data.startswith(b"\xff\xd8") else "image/webp"


def _matches(header: str, tag: str) -> bool:
    """Whether the client has this version already (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return tag in tags or tags == ["*"]
