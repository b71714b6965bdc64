"""The IoT API against its documented words, with a stand-in for Triton."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import UnavailableError
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway, until

SERVICES = ["iot"]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def poses(*names: str) -> list[dict[str, str]]:
    return [{"pose": name, "data": b64(b"picture")} for name in names]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, services=SERVICES) as running:
        yield running


async def test_vectorizer_on_both_ports(gateway: Running) -> None:
    body = {"employee_id": "E-7", "images": poses("front", "left"), "function": "facial_embedding"}
    for client in (gateway.iot, gateway.main):
        reply = await client.post("/iot/vectorizer", json=body)
        assert reply.status_code == 200
        found = reply.json()
        assert list(found)[:8] == [
            "employee_id", "enrollmentProcessedFile", "embedding_dim", "model",
            "enrollmentPictureThumbnail", "image_count", "processing_time_ms", "mock",
        ]  # fmt: skip
        assert found["employee_id"] == "E-7"
        assert len(found["enrollmentProcessedFile"]) == 2732
        vector = np.frombuffer(base64.b64decode(found["enrollmentProcessedFile"]), "<f4")
        assert vector.shape == (512,)
        assert (vector[0], vector[1]) == (1, 0)
        assert (found["embedding_dim"], found["image_count"]) == (512, 2)
        assert (found["model"], found["mock"]) == ("ArcFace", False)
        assert isinstance(found["processing_time_ms"], int)
        assert base64.b64decode(found["enrollmentPictureThumbnail"]) == b"front|left"
        assert [one["pose"] for one in found["images"]] == ["front", "left"]
        assert [one["index"] for one in found["images"]] == [0, 1]


async def test_user_id_is_an_alias_and_pose_is_optional(gateway: Running) -> None:
    body = {"user_id": "E-7", "images": [{"data": b64(b"picture")}], "options": None}
    reply = await gateway.iot.post("/iot/vectorizer", json=body)
    assert (reply.status_code, reply.json()["employee_id"]) == (200, "E-7")


@pytest.mark.parametrize(
    "data",
    [
        "data:image/jpeg;base64," + b64(b"picture"),
        b64(b"picture!").rstrip("="),
        "cGlj\ndHVy\r\nZQ==",
    ],
)
async def test_how_clients_write_base64(gateway: Running, data: str) -> None:
    body = {"employee_id": "E", "images": [{"data": data}]}
    assert (await gateway.iot.post("/iot/vectorizer", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("images", "status", "detail"),
    [
        ([], 400, "At least one image is required"),
        ([{"data": "§§§"}], 400, "Invalid image data: Image 0 is not valid base64"),
        (
            [*poses("front"), {"pose": "left", "data": "abc$"}],
            400,
            "Invalid image data: Image 1 (left) is not valid base64",
        ),
        ([{"data": ""}], 400, "Invalid image data: Image 0 is empty"),
        (
            [*poses("front"), {"pose": "up", "data": b64(b"image_invalid")}],
            422,
            "Image 1 (up) is not a valid image: "
            "JPEG, PNG, WebP, GIF, BMP and AVIF pictures are read",
        ),
        ([{"data": b64(b"image_truncated")}], 422, "Image 0 is truncated or damaged"),
        ([{"data": b64(b"image_too_large")}], 413, "Image 0 has too many pixels"),
        (
            [{"data": b64(b"face_not_found")}],
            422,
            "No faces detected in any of the provided images",
        ),
    ],
)
async def test_refusals_name_the_image(
    gateway: Running, images: list[dict[str, str]], status: int, detail: str
) -> None:
    body = {"employee_id": "E", "images": images}
    reply = await gateway.iot.post("/iot/vectorizer", json=body)
    assert (reply.status_code, reply.json()) == (status, {"detail": detail})


async def test_missing_fields_are_listed(gateway: Running) -> None:
    reply = await gateway.iot.post("/iot/vectorizer", json={})
    assert reply.status_code == 422
    assert [item["loc"] for item in reply.json()["detail"]] == [
        ["body", "employee_id"],
        ["body", "images"],
    ]


async def test_limits(tmp_path: Path) -> None:
    iot = {"max_images": 2, "max_image_bytes": 2048}
    async with running_gateway(tmp_path, services=SERVICES, iot=iot) as gateway:
        many = {"employee_id": "E", "images": poses("a", "b", "c")}
        reply = await gateway.iot.post("/iot/vectorizer", json=many)
        assert reply.status_code == 422
        assert "at most 2" in reply.json()["detail"][0]["msg"]
        large = {"employee_id": "E", "images": [{"data": b64(b"x" * 3000)}]}
        reply = await gateway.iot.post("/iot/vectorizer", json=large)
        assert reply.status_code == 413
        assert "Image 0" in reply.json()["detail"]


async def test_a_clip_tells_a_story(gateway: Running) -> None:
    body = {"event_id": "EV2-1-cam", "video_clip": b64(b"clip"), "metadata": {"duration": 15}}
    reply = await gateway.iot.post("/iot/emotions", json=body)
    assert reply.status_code == 200
    found = reply.json()
    assert list(found)[:3] == ["event_id", "story", "inference_ms"]
    assert (found["event_id"], found["story"]) == ("EV2-1-cam", "A person smiles.")
    assert isinstance(found["inference_ms"], int)
    assert {"engine", "model", "emotions", "frames_analyzed", "truncated"} <= set(found)
    assert found["engine"] == "timeline"


async def test_pictures_are_judged_one_by_one(gateway: Running) -> None:
    images: list[dict[str, Any]] = [{"data": b64(b"a")}, {"frame": 9, "data": b64(b"b")}]
    images.append({"data": b64(b"c")})
    body = {"event_id": "E", "images": images, "prompt": "look", "options": {}}
    found = (await gateway.iot.post("/iot/emotions", json=body)).json()
    assert list(found)[:7] == [
        "event_id", "employee_id", "emotions", "dominant_emotion", "analysis_summary",
        "processing_time_ms", "mock",
    ]  # fmt: skip
    assert [one["frame"] for one in found["emotions"]] == [0, 9, 2]
    assert found["dominant_emotion"] == "happiness"  # 0.4 + 0.4 over 0.6
    assert found["mock"] is False


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"images": []}, 400, "At least one image is required"),
        ({"images": [{"data": "$"}]}, 400, "Invalid image data at index 0: it is not valid base64"),
        (
            {"images": [{"data": b64(b"image_invalid")}]},
            422,
            "Image 0 is not a valid image: JPEG, PNG, WebP, GIF, BMP and AVIF pictures are read",
        ),
        ({"event_id": "E", "video_clip": "$"}, 400, "video_clip is not valid base64"),
        ({"event_id": "E", "video_clip": ""}, 400, "video_clip is empty"),
        (
            {"event_id": "E", "video_clip": b64(b"clip_invalid")},
            422,
            "video_clip is not a valid MP4, QuickTime, 3GP or WebM video with "
            "H.264, HEVC, VP8, VP9 or AV1",
        ),
        ({"event_id": "E", "video_clip": b64(b"clip_too_long")}, 413, "video_clip is too long"),
    ],
)
async def test_emotions_refusals(
    gateway: Running, body: dict[str, Any], status: int, detail: str
) -> None:
    reply = await gateway.iot.post("/iot/emotions", json=body)
    assert (reply.status_code, reply.json()) == (status, {"detail": detail})


@pytest.mark.parametrize(
    ("body", "field"), [({}, "video_clip"), ({"video_clip": "AA"}, "event_id")]
)
async def test_emotions_missing_fields(gateway: Running, body: dict[str, Any], field: str) -> None:
    reply = await gateway.iot.post("/iot/emotions", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["body", field]


async def test_health_bodies(gateway: Running) -> None:
    expected = {
        "status": "healthy",
        "models": {"embedding": "loaded", "vlm": "not_configured", "emotions": "loaded"},
    }
    paths = [(gateway.iot, "/iot/health"), (gateway.iot, "/api/health"), (gateway.iot, "/health")]
    for client, path in (*paths, (gateway.main, "/iot/health")):
        reply = await client.get(path)
        found = reply.json()
        assert reply.status_code == 200
        assert found.pop("gpu") in ("available", "unavailable")
        assert found == expected
    for path in ("/iot/models", "/"):
        found = (await gateway.iot.get(path)).json()
        assert set(found) == {"status", "timestamp", "models", "gpu_available"}
        assert found["models"]["embedding"]["status"] == "ready"
        assert found["models"]["emotion"]["backend"] == "expression-timeline"
    answer = await gateway.iot.post("/iot/transcription", json={"any": 1})
    assert answer.json()["status"] == "not_implemented"


async def test_dead_embedder_is_503_everywhere(tmp_path: Path) -> None:
    triton = FakeTriton(broken={"face_embedder"})
    health = {"canary_interval_seconds": 0.05, "reload_attempts": 0}
    async with running_gateway(
        tmp_path, triton, wait=False, services=SERVICES, health=health
    ) as gateway:
        await until(lambda: gateway.context.monitor.report()["status"] == "down")
        reply = await gateway.iot.get("/iot/health")
        assert (reply.status_code, reply.json()["models"]["embedding"]) == (503, "down")
        body = {"employee_id": "E", "images": poses("front")}
        reply = await gateway.iot.post("/iot/vectorizer", json=body)
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1


CLIP = {"event_id": "E", "video_clip": b64(b"clip")}


async def test_the_vlm_tells_when_configured(tmp_path: Path) -> None:
    iot = {"emotions": {"engine": "vlm", "max_tokens": 99}}
    async with running_gateway(tmp_path, services=SERVICES, iot=iot) as gateway:
        found = (await gateway.iot.post("/iot/emotions", json=CLIP)).json()
        assert (found["engine"], found["fallback"]) == ("vlm", False)
        health = (await gateway.iot.get("/iot/health")).json()
        assert health["models"]["vlm"] == "loaded"


@pytest.mark.parametrize(("fallback", "status"), [(True, 200), (False, 503)])
async def test_a_dead_vlm_falls_back_and_says_so(
    tmp_path: Path, fallback: bool, status: int
) -> None:
    iot = {"emotions": {"engine": "vlm", "fallback": fallback}}
    async with running_gateway(tmp_path, services=SERVICES, iot=iot) as gateway:
        gateway.triton.broken.add("vlm")
        reply = await gateway.iot.post("/iot/emotions", json=CLIP)
        assert reply.status_code == status
        if fallback:
            assert reply.json()["engine"] == "timeline"
            assert reply.json()["fallback"] is True
        else:
            assert int(reply.headers["retry-after"]) >= 1


async def test_nothing_personal_is_logged(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"employee_id": "secret-employee", "images": poses("front")}
    gateway.triton.failures.append(UnavailableError(retry_after=1))
    await gateway.iot.post("/iot/vectorizer", json=body)
    await gateway.iot.post("/iot/vectorizer", json=body)
    text = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "request" in text
    assert "secret-employee" not in text
    assert b64(b"picture") not in text
