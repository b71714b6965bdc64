"""The bodies of the callbacks, as the replaced server's receivers know them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.jobs.ending import words
from gateway.jobs.record import Job

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        body: whole, because it is signed.
        content_type: of it.
    """

    body: bytes
    content_type: str


def result_message(
    job: Job, image: bytes | None, model_version: str, *, multipart_errors: bool
) -> Message:
    """Return the message to the asset service.

    Args:
        job: finished.
        image: its result, None where it has none.
        model_version: as configured.
        multipart_errors: whether a failure is multipart/form-data too.
    """
    fields = {
        "job_id": job.id,
        "user_id": job.user_id,
        "session_id": job.session_id,
        "provider": job.provider,
        "node_id": job.node,
        "model_version": model_version,
        "inference_time_ms": str(round(float(job.report.get("inference_time_ms", 0)))),
    }
    if image is not None:
        return multipart(fields, image, job.content_type or "image/png")
    fields["error"] = words(job.error) if job.error else ""
    if multipart_errors:
        return multipart(fields)
    return Message(urlencode(fields).encode(), "application/x-www-form-urlencoded")


def completion_message(job: Job) -> Message:
    """Return the message to the load balancer."""
    told = {"node_id": job.node, "job_id": job.id, "metadata": {}}
    return Message(json.dumps(told).encode(), "application/json")


def multipart(
    fields: Mapping[str, str], image: bytes | None = None, content_type: str = ""
) -> Message:
    """Return a multipart/form-data body (RFC 7578) with the fields and perhaps `output_image`."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if image is not None:
        extension = EXTENSIONS.get(content_type, "png")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="output_image"; '
            f'filename="result.{extension}"\r\nContent-Type: {content_type}\r\n\r\n'
        )
        parts += [head.encode(), image, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return Message(b"".join(parts), f"multipart/form-data; boundary={boundary}")
