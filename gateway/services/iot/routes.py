"""What the replaced server spoke: `/vectorizer /emotions /transcription …`; and `/compare`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pybase64
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.context import Context
from gateway.errors import BadRequestError
from gateway.http.answers import answer
from gateway.http.application import service_application
from gateway.http.base64_field import decode_base64
from gateway.http.body import read_body
from gateway.http.declaration import WORK, at_most, declare
from gateway.http.disconnect import unless_gone
from gateway.http.outline import Bounds
from gateway.http.problems import missing, too_many
from gateway.large_work import worked
from gateway.services.iot.compare import compare, sides
from gateway.services.iot.faces import Picture
from gateway.services.iot.health import health, models
from gateway.services.iot.schemas import (
    CompareRequest,
    Comparison,
    EmotionsRequest,
    FaceVector,
    Frame,
    FrameEmotions,
    IotHealth,
    IotModels,
    NotImplementedAnswer,
    PoseImage,
    Story,
    VectorizerRequest,
)
from gateway.services.iot.service import IotService

DESCRIPTION = "Face vectors from enrollment pictures, stories from clips."
OPEN_PATHS = ("/health",)
OLD_PATHS = ("/vectorizer", "/emotions", "/transcription", "/health", "/models")
"""What the old server had below `/iot`."""
ROOT_PATHS = ("/", "/health", "/api/health")
"""What it had outside: states, which need no key."""
EMPTY = "At least one image is required"
INVALID = "Invalid image data"
ENGINE = ("engine", "model", "fallback")
CLIP = ("emotions", "frames_analyzed", "duration_s", "truncated")
BASE64 = Bounds(base64=True)


def iot_application(service: IotService, context: Context) -> FastAPI:
    """Return the IoT API below `/iot`, without its middleware."""
    app = service_application("Pentad IoT API", DESCRIPTION)
    settings = service.settings

    @declare(
        app, "GET", "/health", "Whether faces can be vectorised; 503 when not", answer=IotHealth,
        also={503: IotHealth},
    )  # fmt: skip
    async def iot_health(request: Request) -> Response:
        status, body = health(service, gpu_here(context))
        return answer(body, status)

    @declare(app, "GET", "/models", "The models behind this API and their states", answer=IotModels)
    async def iot_models(request: Request) -> Response:
        return answer(models(service, gpu_here(context)))

    @declare(
        app, "POST", "/vectorizer", "One 512-d face vector from pictures of one person",
        body=at_most(VectorizerRequest, "images", settings.max_images), answer=FaceVector,
        errors=WORK,
    )  # fmt: skip
    async def vectorizer(request: Request) -> Response:
        begin = time.perf_counter()
        body = await read_body(request, VectorizerRequest, bounds=BASE64)
        _check_count(len(body.images), settings.max_images)
        size = sum(len(image.data) for image in body.images)
        pictures = await worked(size, _pictures, body.images, settings.max_image_bytes)
        enrollment = await unless_gone(request, service.faces.enroll(pictures))
        return answer(
            {
                "employee_id": body.employee_id,
                "enrollmentProcessedFile": _text(enrollment.vector.tobytes()),
                "embedding_dim": enrollment.vector.size,
                "model": "ArcFace",
                "enrollmentPictureThumbnail": _text(enrollment.thumbnail),
                "image_count": len(pictures),
                "processing_time_ms": _since(begin),
                "mock": False,
                "images": enrollment.reports,
                "weights": service.faces.model.name,
                "engine": service.faces.model.engine,
            }
        )

    @declare(
        app, "POST", "/compare", "Whether two pictures or vectors are of one person",
        body=CompareRequest, answer=Comparison, errors=WORK,
    )  # fmt: skip
    async def compare_two(request: Request) -> Response:
        begin = time.perf_counter()
        body = await read_body(request, CompareRequest, bounds=BASE64)
        size = sum(len(side.data or "") for side in (body.first, body.second))
        comparison = await worked(size, sides, body, settings.max_image_bytes)
        verdict = await unless_gone(request, compare(service.faces, comparison))
        return answer({**verdict, "processing_time_ms": _since(begin)})

    @declare(
        app, "POST", "/emotions", "A story from a clip, or emotions from pictures",
        body=at_most(EmotionsRequest, "images", settings.emotions.max_images),
        answer=Story | FrameEmotions, errors=WORK,
    )  # fmt: skip
    async def emotions(request: Request) -> Response:
        begin = time.perf_counter()
        body = await read_body(request, EmotionsRequest, bounds=BASE64)
        if body.video_clip is not None:
            return answer(await _clip(request, service, body, begin))
        return answer(await _frames(request, service, body, begin))

    @declare(
        app, "POST", "/transcription", "Not implemented, and never was",
        answer=NotImplementedAnswer,
    )  # fmt: skip
    async def transcription(request: Request) -> Response:
        message = "Transcription is not implemented"
        return answer({"status": "not_implemented", "message": message, "note": ""})

    return app


def legacy_application(service: IotService, context: Context) -> FastAPI:
    """Return what the old port answers outside `/iot`."""
    app = service_application("Pentad IoT API", DESCRIPTION)

    async def old_health(request: Request) -> Response:
        status, body = health(service, gpu_here(context))
        return answer(body, status)

    for path, name in (("/api/health", "api_health"), ("/health", "health")):
        declare(
            app, "GET", path, "As /iot/health", answer=IotHealth, also={503: IotHealth}, name=name
        )(old_health)

    @declare(app, "GET", "/", "As /iot/models", answer=IotModels)
    async def root(request: Request) -> Response:
        return answer(models(service, gpu_here(context)))

    return app


def gpu_here(context: Context) -> bool:
    """Whether a real GPU is being read on this machine."""
    newest = context.gpus.history(0, 1)
    return newest.source != "stub" and newest.state == "live"


async def _clip(
    request: Request, service: IotService, body: EmotionsRequest, begin: float
) -> dict[str, Any]:
    if body.event_id is None:
        raise missing("body", "event_id")
    limit = service.settings.emotions.max_clip_bytes
    text, body.video_clip = body.video_clip or "", None
    clip = await worked(len(text), decode_base64, text, "video_clip", limit)
    del text  # larger than the clip, which may have to wait
    story = await unless_gone(request, service.emotions.clip(clip))
    return {
        "event_id": body.event_id,
        "story": story["story"],
        "inference_ms": _since(begin),
        "emotions_model": story.get("emotions_model", story["model"]),
        **{name: story[name] for name in (*ENGINE, *CLIP)},
    }


async def _frames(
    request: Request, service: IotService, body: EmotionsRequest, begin: float
) -> dict[str, Any]:
    if body.images is None:
        raise missing("body", "video_clip")
    settings = service.settings
    _check_count(len(body.images), settings.emotions.max_images)
    size = sum(len(image.data) for image in body.images)
    pictures = await worked(size, _pictures, body.images, settings.max_image_bytes)
    story = await unless_gone(request, service.emotions.pictures(pictures, body.prompt))
    numbers = [
        place if image.frame is None else image.frame for place, image in enumerate(body.images)
    ]
    frames = [
        {**frame, "frame": number} for number, frame in zip(numbers, story["frames"], strict=True)
    ]
    return {
        "event_id": body.event_id,
        "employee_id": body.employee_id,
        "emotions": frames,
        "dominant_emotion": _dominant(frames),
        "analysis_summary": story["story"],
        "processing_time_ms": _since(begin),
        "mock": False,
        **{name: story[name] for name in ENGINE},
    }


def _pictures(images: Sequence[PoseImage | Frame], limit: int) -> list[Picture]:
    """Return the decoded pictures of an enrollment or a sequence; their texts are let go."""
    pictures = []
    for place, image in enumerate(images):
        pose, name = "", f" at index {place}: it"
        if isinstance(image, PoseImage):
            pose = image.pose or ""
            name = f": {Picture(b'', pose).name(place)}"
        data = decode_base64(image.data, f"{INVALID}{name}", limit)
        image.data = ""  # larger than the picture, which may have to wait
        pictures.append(Picture(data, pose))
    return pictures


def _dominant(frames: Sequence[dict[str, Any]]) -> str:
    """Return the label with the largest sum of confidence; ``neutral`` without any face."""
    sums: dict[str, float] = {}
    for frame in frames:
        if frame.get("emotion"):
            sums[frame["emotion"]] = sums.get(frame["emotion"], 0.0) + frame["confidence"]
    return max(sums, key=lambda label: sums[label]) if sums else "neutral"


def _check_count(count: int, limit: int) -> None:
    if not count:
        raise BadRequestError(EMPTY)
    if count > limit:
        raise too_many(count, limit, "body", "images")


def _since(begin: float) -> int:
    return int((time.perf_counter() - begin) * 1000)


def _text(raw: bytes) -> str:
    return pybase64.b64encode_as_string(raw)
