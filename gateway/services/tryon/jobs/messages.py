"""The bodies of the callbacks, as the replaced server's receivers know them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

import httpx

from gateway.services.tryon.jobs.models import Job
from gateway.services.tryon.jobs.outcome import words

COMPLETED, FAILED = "tryon.completed", "tryon.failed"
"""Types of the event that a job's end is, as JSON."""
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        body: whole, because it is signed.
    """

    body: bytes
    content_type: str


def result_message(
    job: Job, images: Sequence[bytes], model_version: str, *, multipart_errors: bool
) -> Message:
    """Return the message to the asset service.

    Args:
        job: finished.
        images: its pictures, none where it has no result.
        model_version: as configured.
        multipart_errors: whether a failure is multipart/form-data too.
    """
    fields = {name: str(value) for name, value in _fields(job, model_version).items()}
    if images:
        return multipart(fields, images, job.content_type or "image/png")
    fields["error"] = _error(job)
    if multipart_errors:
        return multipart(fields)
    return Message(urlencode(fields).encode(), "application/x-www-form-urlencoded")


def result_event(job: Job, images: Sequence[bytes], model_version: str, ended: float) -> Message:
    """Return the message to the asset service as the Standard Webhooks specification has it.

    Args:
        job: finished.
        images: its pictures, none where it has no result; they travel in base64.
        model_version: as configured.
        ended: seconds since the epoch.
    """
    data = _fields(job, model_version)
    if images:
        data["content_type"] = job.content_type or "image/png"
        for number, image in enumerate(images, start=1):
            data[_numbered("output_image", number)] = base64.b64encode(image).decode()
    else:
        data["error"] = _error(job)
    moment = datetime.fromtimestamp(ended, timezone.utc).isoformat(timespec="milliseconds")
    event = {
        "type": COMPLETED if images else FAILED,
        "timestamp": moment.replace("+00:00", "Z"),
        "data": data,
    }
    return Message(json.dumps(event).encode(), "application/json")


def completion_message(job: Job) -> Message:
    """Return the message to the load balancer."""
    common = {"node_id": job.node, "job_id": job.id, "metadata": {}}
    return Message(json.dumps(common).encode(), "application/json")


def _fields(job: Job, model_version: str) -> dict[str, Any]:
    """Return the documented fields, which results and failures have in every format."""
    return {
        "job_id": job.id,
        "user_id": job.user_id,
        "session_id": job.session_id,
        "provider": job.provider,
        "node_id": job.node,
        "model_version": model_version,
        "inference_time_ms": round(float(job.report.get("inference_time_ms", 0))),
    }


def _error(job: Job) -> str:
    return words(job.error) if job.error else ""


def _numbered(name: str, number: int) -> str:
    """Return the name that the first picture has, and what further ones have in its place."""
    return name if number == 1 else f"{name}_{number}"


def multipart(
    fields: Mapping[str, str], images: Sequence[bytes] = (), content_type: str = ""
) -> Message:
    """Return a multipart/form-data body (RFC 7578) with the fields and a file of each picture.

    The first is `output_image`, as documented; further ones are `output_image_2` and so on.
    """
    extension = EXTENSIONS.get(content_type, "png")
    files: list[tuple[str, Any]] = [(name, (None, value)) for name, value in fields.items()]
    for number, image in enumerate(images, start=1):
        file = f"{_numbered('result', number)}.{extension}"
        files.append((_numbered("output_image", number), (file, image, content_type)))
    request = httpx.Request("POST", "http://receiver", files=files)
    return Message(request.read(), request.headers["Content-Type"])
