"""The enrollment modal's server against `/api/process` and what it fetches and deletes after it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.errors import UnavailableError
from gateway.services.iot.kept_vectors import KeptVectors, NoRoomError
from tests.support.fake_triton import Columns, FakeTriton
from tests.support.gateway import Running, running_gateway
from tests.support.waiting import until

IOT = ["iot"]
MEAN = np.arange(512, dtype=np.float32) / 7
SECRET = "k-0123456789abcdef"


class Faces(FakeTriton):
    """Finds a face on every picture but those that say what else they are, strictly or not."""

    def _face_enrollment(self, columns: Columns) -> dict[str, Any]:  # type: ignore[override]
        wishes = json.loads(columns["OPTIONS"][0]) if "OPTIONS" in columns else {}
        found = super()._face_enrollment({**columns, "IMAGES": [b"x"] * len(columns["IMAGES"])})
        report = [_report(image) for image in columns["IMAGES"]]
        if wishes.get("strict", True) or not any(one["used"] for one in report):
            self._face_or_refusal(columns["IMAGES"])
        vector = MEAN if wishes.get("unit") is False else MEAN / np.linalg.norm(MEAN)
        reports = np.array([json.dumps(report).encode()], object)
        return {**found, "VECTOR": vector, "IMAGE_REPORT": reports}

    @staticmethod
    def _face_or_refusal(images: list[bytes]) -> None:
        FakeTriton._face_enrollment({"IMAGES": images, "POSES": []})


def _report(image: bytes) -> dict[str, Any]:
    for reason in ("face_not_found", "image_invalid"):
        if image.startswith(reason.encode()):
            return {"face": False, "used": False, "reason": reason}
    return {"face": True, "used": True, "reason": None}


def captures(*pictures: bytes, count: int = 5) -> list[dict[str, Any]]:
    poses = ("front", "left", "right", "up", "down")
    shown = [*pictures, *[b"picture"] * (count - len(pictures))]
    return [
        {
            "pose": poses[place % 5],
            "image_data": "data:image/jpeg;base64," + base64.b64encode(picture).decode(),
        }
        for place, picture in enumerate(shown)
    ]


async def process(client: httpx.AsyncClient, user: Any = "u-17", **changes: Any) -> httpx.Response:
    body = {"user_id": user, "captures": captures(), **changes}
    return await client.post("/api/process", json=body)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, Faces(), services=IOT) as running:
        yield running


async def test_what_the_modals_server_does(gateway: Running) -> None:
    assert (await gateway.iot.get("/health")).status_code == 200
    assert (await gateway.iot.delete("/api/enrollment/u-17")).status_code == 404
    made = await process(gateway.iot)
    assert made.status_code == 200
    answer = made.json()
    assert list(answer)[:3] == ["success", "embedding_count", "profile_image_path"]
    assert (answer["success"], answer["embedding_count"], answer["mock_mode"]) == (True, 5, False)

    fetched = await gateway.iot.get("/api/embedding/u-17")
    found = fetched.json()
    assert list(found)[:4] == ["user_id", "embedding", "model", "enrolled_at"]
    assert (found["user_id"], found["model"]) == ("u-17", "ArcFace")
    assert np.array_equal(np.array(found["embedding"], np.float32), MEAN)  # with its own length

    gone = await gateway.iot.delete("/api/enrollment/u-17")
    assert (gone.status_code, gone.json()) == (200, {"success": True})
    after = await gateway.iot.get("/api/embedding/u-17")
    assert (after.status_code, after.json()["success"]) == (404, False)
    assert isinstance(after.json()["error"], str)


async def test_one_persons_vector_is_not_anothers(gateway: Running) -> None:
    await process(gateway.iot)
    for other in ("u-1", "u-17x", "U-17", "%75-1"):
        assert (await gateway.iot.get(f"/api/embedding/{other}")).status_code == 404


@pytest.mark.parametrize(
    ("user", "path"),
    [(4711, "4711"), ("a b/ü?", "a%20b%2F%C3%BC%3F"), ("a/b", "a/b"), ("x" * 255, "x" * 255)],
)
async def test_ids_as_they_come(gateway: Running, user: Any, path: str) -> None:
    assert (await process(gateway.iot, user)).status_code == 200
    found = await gateway.iot.get(f"/api/embedding/{path}")
    assert (found.status_code, found.json()["user_id"]) == (200, str(user))


async def test_pictures_without_a_face_do_not_count(gateway: Running) -> None:
    shown = captures(b"face_not_found", b"image_invalid", b"picture", b"picture")
    shown[4]["image_data"] = "data:,"  # of a camera that was not ready
    found = (await process(gateway.iot, captures=shown)).json()
    assert found["embedding_count"] == 2
    reasons = [one["reason"] for one in found["captures"]]
    assert reasons == ["face_not_found", "image_invalid", None, None, "not_base64"]
    assert [one["index"] for one in found["captures"]] == [0, 1, 2, 3, 4]


BAD = [
    ({"captures": captures(count=4)}, "At least 5 captures"),
    ({"captures": captures(count=11)}, "At most 10 captures"),
    ({"captures": []}, "At least 5 captures"),
    ({"captures": captures(*[b"face_not_found"] * 5)}, "0 of 5 captures"),
    ({"captures": captures(*[b"image_invalid"] * 4)}, "1 of 5 captures"),
    ({"captures": [{"image_data": "!"}] * 5}, "0 of 5 captures"),
    ({"captures": None}, "body.captures: Input should be a valid array"),
    ({"captures": [1] * 5}, "body.captures.0: "),
    ({"user_id": None}, "body.user_id: "),
    ({"user_id": ""}, "body.user_id: "),
    ({"user_id": "x" * 256}, "body.user_id: "),
    ({"user_id": {}}, "body.user_id: "),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
async def test_what_cannot_be_enrolled_is_400(
    gateway: Running, changes: dict[str, Any], words: str
) -> None:
    reply = await process(gateway.iot, **{"user": "u-1", **changes})
    assert reply.status_code == 400
    assert list(reply.json()) == ["success", "error"]
    assert reply.json()["success"] is False
    assert words in reply.json()["error"]
    assert (await gateway.iot.get("/api/embedding/u-1")).status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
async def test_no_json_is_400(gateway: Running, body: bytes) -> None:
    reply = await gateway.iot.post("/api/process", content=body)
    assert (reply.status_code, reply.json()["success"]) == (400, False)
    assert reply.json()["error"].startswith("body: ")


async def test_other_errors_have_the_same_shape(gateway: Running) -> None:
    for method, path, status in (
        ("GET", "/api/process", 405),
        ("POST", "/api/enrollment/u", 405),
        ("POST", "/api/process", 413),
        ("POST", "/api/process", 503),
    ):
        gateway.triton.failures = [UnavailableError(retry_after=2)] * 9 if status == 503 else []
        headers = {"Content-Length": str(10**9)} if status == 413 else {}
        content = json.dumps({"user_id": "u", "captures": captures()})
        reply = await gateway.iot.request(method, path, content=content, headers=headers)
        assert reply.status_code == status, path
        assert reply.json()["success"] is False
        if status == 503:
            assert reply.headers["retry-after"].isdigit()


async def test_what_a_failed_enrollment_leaves_behind(gateway: Running) -> None:
    """The last vector stays, as on the old server: an error changes nothing."""
    await process(gateway.iot)
    assert (await process(gateway.iot, captures=captures(count=1))).status_code == 400
    assert (await gateway.iot.get("/api/embedding/u-17")).status_code == 200


async def test_the_rest_of_the_old_port_is_as_it_was(gateway: Running) -> None:
    for path in ("/", "/health", "/api/health", "/iot/health", "/iot/models", "/docs"):
        assert (await gateway.iot.get(path)).status_code == 200, path
    assert (await gateway.iot.get("/api/other")).json() == {"detail": "Not Found"}
    assert (await process(gateway.main)).status_code == 404


async def test_a_vector_goes_by_itself(tmp_path: Path) -> None:
    settings = {"enrollment_seconds": 0.3}
    async with running_gateway(tmp_path, Faces(), services=IOT, iot=settings) as gateway:
        await process(gateway.iot)

        async def gone() -> bool:
            return (await gateway.iot.get("/api/embedding/u-17")).status_code == 404

        await asyncio.sleep(0.3)
        assert await gone()


async def test_vectors_are_dropped_whether_or_not_anybody_asks() -> None:
    kept = KeptVectors(0.05, 10)
    kept.keep((None, "a"), MEAN)
    assert len(kept) == 1
    await until(lambda: len(kept) == 0)


async def test_a_new_vector_begins_its_time_anew() -> None:
    kept = KeptVectors(60, 2)
    kept.keep((None, "a"), MEAN)
    kept.keep((None, "b"), MEAN)
    kept.keep((None, "a"), MEAN + 1)
    found = kept.find((None, "a"))
    assert found is not None
    assert found.vector[0] == 1
    with pytest.raises(NoRoomError) as full:
        kept.keep((None, "c"), MEAN)
    assert full.value.retry_after in (59, 60)
    assert kept.forget((None, "b"))
    assert not kept.forget((None, "b"))
    kept.keep((None, "c"), MEAN)


async def test_more_than_may_wait_is_503(tmp_path: Path) -> None:
    settings = {"enrollment_entries": 2}
    async with running_gateway(tmp_path, Faces(), services=IOT, iot=settings) as gateway:
        for user in ("a", "b", "b"):
            assert (await process(gateway.iot, user)).status_code == 200
        gateway.triton.calls.clear()
        full = await process(gateway.iot, "c")
        assert (full.status_code, full.json()["success"]) == (503, False)
        assert 0 < int(full.headers["retry-after"]) <= 600
        assert not gateway.triton.calls  # said before any work
        await gateway.iot.delete("/api/enrollment/a")
        assert (await process(gateway.iot, "c")).status_code == 200


@pytest.mark.parametrize(
    "values", [{"iot": {"enrollment_routes": False}}, {"server": {"workers": 2}}]
)
async def test_when_there_are_no_such_routes(
    tmp_path: Path, values: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(tmp_path, Faces(), services=IOT, **values) as gateway:
        said = "enrollment routes are off" in caplog.text
        assert said is ("server" in values)  # what was switched off need not be said
        assert (await process(gateway.iot)).status_code == 404
        assert (await gateway.iot.get("/api/health")).status_code == 200


async def test_keys(tmp_path: Path) -> None:
    security = {
        "keys": [
            {"name": "modal", "key": SECRET, "services": ["iot"]},
            {"name": "second", "key": SECRET + "2", "services": ["iot"]},
        ]
    }
    async with running_gateway(tmp_path, Faces(), services=IOT, security=security) as gateway:
        assert (await gateway.iot.get("/health")).status_code == 200
        refused = await process(gateway.iot)
        assert (refused.status_code, refused.json()["success"]) == (401, False)
        assert (await gateway.iot.get("/api/embedding/u-17")).status_code == 401
        gateway.iot.headers["Authorization"] = f"Bearer {SECRET}"
        assert (await process(gateway.iot)).status_code == 200
        assert (await gateway.iot.get("/api/embedding/u-17")).status_code == 200
        gateway.iot.headers["Authorization"] = f"Bearer {SECRET}2"
        assert (await gateway.iot.get("/api/embedding/u-17")).status_code == 404  # not its own


async def test_pages_of_other_sites_get_no_vector(gateway: Running) -> None:
    page = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    reply = await gateway.iot.post("/api/process", json={}, headers=page)
    assert (reply.status_code, reply.json()["success"]) == (403, False)
    reply = await gateway.iot.get("/api/embedding/u-17", headers=page)
    assert "access-control-allow-origin" not in reply.headers


async def test_nothing_of_a_person_is_logged(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await process(gateway.iot, "walter-geheim")
    await gateway.iot.get("/api/embedding/walter-geheim")
    await gateway.iot.delete("/api/enrollment/walter-geheim")
    await process(gateway.iot, "walter-geheim", captures=[])
    lines = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records
             if not record.name.startswith("httpx")]  # fmt: skip
    assert lines
    assert not any("geheim" in line for line in lines)


async def test_below_a_root_path(tmp_path: Path) -> None:
    """A proxy that takes its prefix off, and one that leaves it, as an ASGI root path allows."""
    settings = {"root_path": "/galaxy/gpu"}
    async with running_gateway(tmp_path, Faces(), services=IOT, iot=settings) as gateway:
        for prefix in ("", "/galaxy/gpu"):
            for path in ("/iot/health", "/iot/models", "/health", "/", "/api/health", "/docs"):
                assert (await gateway.iot.get(prefix + path)).status_code == 200, prefix + path
            images = [{"data": base64.b64encode(b"picture").decode()}]
            body = {"employee_id": "E", "images": images}
            reply = await gateway.iot.post(f"{prefix}/iot/vectorizer", json=body)
            assert reply.status_code == 200
            assert (await gateway.iot.post(f"{prefix}/api/process", json={
                "user_id": "u", "captures": captures()})).status_code == 200  # fmt: skip
            assert (await gateway.iot.get(f"{prefix}/api/embedding/u")).status_code == 200
        assert (await gateway.iot.get("/galaxy/gpu")).status_code == 200
        assert (await gateway.iot.get("/galaxy/gpux/health")).status_code == 404
        document = (await gateway.iot.get("/openapi.json")).json()
        assert document["servers"] == [{"url": "/galaxy/gpu"}]
        page = (await gateway.iot.get("/docs")).text
        assert "/galaxy/gpu/openapi.json" in page


async def test_a_root_path_opens_nothing(tmp_path: Path) -> None:
    values = {
        "iot": {"root_path": "/galaxy/gpu"},
        "security": {"keys": [{"name": "a", "key": SECRET}]},
    }
    async with running_gateway(tmp_path, Faces(), services=IOT, **values) as gateway:
        for prefix in ("", "/galaxy/gpu"):
            assert (await gateway.iot.get(f"{prefix}/health")).status_code == 200
            for path in ("/iot/models", "/api/embedding/u", "/iot/health/x", "/other"):
                assert (await gateway.iot.get(prefix + path)).status_code == 401, prefix + path
