"""`/api/process /api/embedding /api/enrollment`, as the enrollment modal's own server calls them.

That server sends the captures, fetches the vector and encodes it for the devices itself. In between
the vector waits in memory (see :mod:`gateway.services.iot.kept_vectors`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from gateway.errors import (
    BadRequestError,
    GatewayError,
    InvalidBodyError,
    NotFoundError,
    RefusedError,
    headers_of,
)
from gateway.http.answers import answer, described
from gateway.http.application import service_application
from gateway.http.base64_field import decode_base64
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.http.long_text import Base64Text
from gateway.http.outline import Bounds
from gateway.large_work import worked
from gateway.services.iot.faces import Enrollment, Picture
from gateway.services.iot.kept_vectors import KeptVectors, Owner
from gateway.services.iot.service import IotService

LEAST_CAPTURES = 5
LEAST_FACES = 2
NOT_BASE64 = "not_base64"  # why a capture does not count, beside the model's reasons
_ID_CHARACTERS = 255
_BASE64 = Bounds(base64=True)


class Capture(BaseModel):
    """One picture of an enrollment."""

    pose: str | None = None
    """front, left, right, up or down; not checked."""
    image_data: Base64Text = Field(validation_alias=AliasChoices("image_data", "imageData"))
    """Encoded picture in base64, with or without a `data:` prefix."""


class ProcessRequest(BaseModel):
    """Body of `/api/process`."""

    model_config = ConfigDict(
        coerce_numbers_to_str=True, json_schema_extra={"required": ["user_id", "captures"]}
    )

    user_id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=_ID_CHARACTERS,
            validation_alias=AliasChoices("user_id", "employee_id"),
        ),
    ]
    """Under which the vector can be fetched."""
    captures: list[Capture]
    """Five or more."""


@described
class CaptureReport(TypedDict):
    """What was seen on one capture."""

    index: int
    pose: str | None
    used: bool
    reason: str | None
    """Why it does not count, such as `no_face`."""


@described
class Processed(TypedDict):
    """Answer of `/api/process`."""

    success: Literal[True]
    embedding_count: int
    """Captures that count."""
    profile_image_path: None
    mock_mode: Literal[False]
    captures: list[CaptureReport]


@described
class KeptVector(TypedDict):
    """Answer of `/api/embedding/{user_id}`."""

    user_id: str
    embedding: list[float]
    model: str
    enrolled_at: str
    """UTC, as in `2026-01-31T12:00:00Z`."""
    weights: str


class Forgotten(TypedDict):
    """Answer of `/api/enrollment/{user_id}`."""

    success: Literal[True]


class EnrollmentError(TypedDict):
    """Body of every error of these routes."""

    success: Literal[False]
    error: str


def enrollment_application(service: IotService) -> FastAPI:
    """Return the three routes without their middleware; it keeps the vectors itself."""
    settings = service.settings
    kept = KeptVectors(settings.enrollment_seconds, settings.enrollment_entries)
    most = max(settings.max_images, LEAST_CAPTURES)
    app = service_application(
        "Pentad enrollment API",
        "Vectors for the enrollment modal's server.",
        enrollment_error,
        error=EnrollmentError,
        invalid=400,
    )

    @declare(
        app, "POST", "/api/process", "Make a person's vector from five or more captures",
        body=ProcessRequest, answer=Processed, errors=WORK,
    )  # fmt: skip
    async def process(request: Request) -> Response:
        body = await read_body(request, ProcessRequest, bounds=_BASE64)
        _check_count(len(body.captures), most)
        owner = _owner(request, body.user_id)
        kept.require_room(owner)
        size = sum(len(capture.image_data) for capture in body.captures)
        pictures = await worked(size, _pictures, body.captures, settings.max_image_bytes)
        enrollment = await _enrolled(request, service, [picture for picture in pictures if picture])
        reports = _reports(body.captures, pictures, enrollment)
        faces = sum(report["used"] for report in reports)
        if enrollment is None or faces < LEAST_FACES:
            raise BadRequestError(
                f"{faces} of {len(reports)} captures show a face that counts, "
                f"{LEAST_FACES} are needed"
            )
        kept.keep(owner, enrollment.vector)
        return answer(
            {
                "success": True,
                "embedding_count": faces,
                "profile_image_path": None,  # no picture is written
                "mock_mode": False,
                "captures": reports,
            }
        )

    @declare(
        app, "GET", "/api/embedding/{user_id:path}", "The vector of a person just enrolled",
        answer=KeptVector, errors=(NotFoundError,),
    )  # fmt: skip
    async def embedding(request: Request) -> Response:
        user = request.path_params["user_id"]
        entry = kept.find(_owner(request, user))
        if entry is None:
            raise _unknown()
        return answer(
            {
                "user_id": user,
                "embedding": entry.vector.tolist(),
                "model": "ArcFace",
                "enrolled_at": entry.enrolled.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "weights": service.faces.model.name,
            }
        )

    @declare(
        app, "DELETE", "/api/enrollment/{user_id:path}", "Forget a person's vector",
        answer=Forgotten, errors=(NotFoundError,),
    )  # fmt: skip
    async def enrollment(request: Request) -> Response:
        if not kept.forget(_owner(request, request.path_params["user_id"])):
            raise _unknown()
        return answer({"success": True})

    return app


def enrollment_error(error: GatewayError) -> Response:
    """Render ``{"success": false, "error": …}``; what is wrong with the captures is 400."""
    wrong = isinstance(error, InvalidBodyError | RefusedError)
    body = {"success": False, "error": _words(error.detail)}
    return answer(body, 400 if wrong else error.status, headers_of(error))


async def _enrolled(
    request: Request, service: IotService, pictures: Sequence[Picture]
) -> Enrollment | None:
    """Return what the model makes of the pictures; None where none of them has a face."""
    if not pictures:
        return None
    try:
        work = service.faces.enroll(pictures, strict=False, unit=False)
        return await unless_gone(request, work)
    except RefusedError:
        return None


def _pictures(captures: Sequence[Capture], limit: int) -> list[Picture | None]:
    """Return each capture's picture; None for one that is none, which a camera may send."""
    pictures: list[Picture | None] = []
    for place, capture in enumerate(captures):
        pose = capture.pose or ""
        try:
            name = Picture(b"", pose).name(place)
            pictures.append(Picture(decode_base64(capture.image_data, name, limit), pose))
        except BadRequestError:
            pictures.append(None)
        capture.image_data = ""  # larger than the picture, which may have to wait
    return pictures


def _reports(
    captures: Sequence[Capture], pictures: Sequence[Picture | None], enrollment: Enrollment | None
) -> list[dict[str, Any]]:
    """Return of each capture whether it counts, and why not."""
    used = iter(enrollment.reports if enrollment else ())
    reports = []
    for place, (capture, picture) in enumerate(zip(captures, pictures, strict=True)):
        report = next(used, {}) if picture else {"reason": NOT_BASE64}
        reports.append(
            {
                "index": place,
                "pose": capture.pose,
                "used": bool(report.get("used")),
                "reason": report.get("reason"),
            }
        )
    return reports


def _check_count(count: int, most: int) -> None:
    if count < LEAST_CAPTURES:
        raise BadRequestError(f"At least {LEAST_CAPTURES} captures are needed, not {count}")
    if count > most:
        raise BadRequestError(f"At most {most} captures are taken, not {count}")


def _owner(request: Request, user: str) -> Owner:
    return request.scope.get("pentad.key"), user


def _unknown() -> NotFoundError:
    return NotFoundError("No vector of this user is kept")


def _words(detail: Any) -> str:
    """Return a detail as one sentence, the field first where there is one."""
    if not isinstance(detail, list):
        return str(detail)
    first = detail[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
