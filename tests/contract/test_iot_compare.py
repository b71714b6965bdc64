"""`POST /iot/compare`, one against one, with a stand-in for Triton."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import UnavailableError
from tests.support.gateway import Running, running_gateway

SERVICES = ["iot"]
PICTURE = {"data": base64.b64encode(b"picture").decode()}
FIRST = np.eye(1, 512, dtype="<f4")[0]
"""The vector that the stand-in makes of every picture."""


def packed(vector: np.ndarray) -> dict[str, Any]:
    return {"vector": base64.b64encode(vector.astype("<f4").tobytes()).decode()}


def numbers(vector: np.ndarray) -> dict[str, Any]:
    return {"vector": vector.tolist()}


def leaning(cosine: float) -> np.ndarray:
    """A vector of length 3 with this cosine to FIRST."""
    vector = np.zeros(512)
    vector[:2] = 3 * cosine, 3 * (1 - cosine**2) ** 0.5
    return vector


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, services=SERVICES) as running:
        yield running


async def ask(gateway: Running, first: object, second: object) -> tuple[int, Any]:
    body = {"first": first, "second": second}
    reply = await gateway.iot.post("/iot/compare", json=body)
    return reply.status_code, reply.json()


async def test_two_vectors_need_no_model(gateway: Running) -> None:
    calls = len(gateway.triton.calls)
    for first in (packed(FIRST), numbers(FIRST)):
        for second in (packed(leaning(0.8)), numbers(leaning(0.8))):
            status, found = await ask(gateway, first, second)
            assert status == 200
            assert found["cosine"] == pytest.approx(0.8, abs=1e-6)
            assert (found["threshold"], found["same"]) == (0.5, True)
            assert (found["first"], found["second"]) == (None, None)
            assert found["embedding_dim"] == 512
    assert len(gateway.triton.calls) == calls


async def test_on_the_main_port_and_below_the_threshold(gateway: Running) -> None:
    body = {"first": packed(FIRST), "second": numbers(leaning(0.49))}
    found = (await gateway.main.post("/iot/compare", json=body)).json()
    assert (found["same"], found["cosine"]) == (False, pytest.approx(0.49, abs=1e-6))
    _, found = await ask(gateway, numbers(leaning(0.3) * 1e300), numbers(leaning(0.3) * 1e-300))
    assert found["cosine"] == pytest.approx(1)
    _, found = await ask(gateway, packed(FIRST), packed(-FIRST))
    assert (found["same"], found["cosine"]) == (False, -1)


async def test_pictures_are_made_vectors_of_one_by_one(gateway: Running) -> None:
    status, found = await ask(
        gateway, PICTURE, {"data": "data:image/png;base64," + PICTURE["data"]}
    )
    assert status == 200
    assert (found["cosine"], found["same"]) == (1, True)
    assert found["first"]["face"]
    assert found["second"]["used"]
    assert gateway.triton.calls[-2:] == [("face_enrollment", 1)] * 2
    status, found = await ask(gateway, numbers(leaning(0.6)), PICTURE)
    assert found["cosine"] == pytest.approx(0.6, abs=1e-6)
    assert found["first"] is None


@pytest.mark.parametrize(
    ("second", "status", "words"),
    [
        ({"vector": [1.0, 2.0]}, 422, "The second vector has 2 numbers"),
        ({"vector": "AACAPwAAgD8="}, 422, "The second vector has 2 numbers"),
        ({"vector": [0.0] * 512}, 422, "no direction"),
        (packed(np.full(512, np.nan)), 422, "no direction"),
        (packed(np.full(512, np.inf)), 422, "no direction"),
        ({"vector": []}, 422, "no direction"),
        ({"vector": "AAAAAAA="}, 422, "not little-endian float32: 5 bytes"),
        ({"vector": "§§§§"}, 400, "The second vector is not valid base64"),
        ({"vector": ""}, 400, "The second vector is empty"),
        ({"vector": base64.b64encode(bytes(2**20)).decode()}, 413, "too large"),
        ({"data": "abc$"}, 400, "Invalid image data: The second image is not valid base64"),
        ({"data": base64.b64encode(b"image_invalid").decode()}, 422, "The second image is not a"),
        (
            {"data": base64.b64encode(b"face_not_found").decode()},
            422,
            "The second image shows no face",
        ),
    ],
)
async def test_what_cannot_be_compared_is_named(
    gateway: Running, second: object, status: int, words: str
) -> None:
    found, answer = await ask(gateway, PICTURE, second)
    assert found == status
    assert words.lower() in answer["detail"].lower()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"first": PICTURE},
        {"first": PICTURE, "second": {}},
        {"first": PICTURE, "second": {**PICTURE, **packed(FIRST)}},
        {"first": PICTURE, "second": {"vector": [0.5] * 5000}},
        {"first": PICTURE, "second": {"vector": ["a"]}},
        {"first": PICTURE, "second": [1, 2]},
        {"first": "x", "second": "y"},
        [],
    ],
)
async def test_other_bodies_are_refused(gateway: Running, body: object) -> None:
    reply = await gateway.iot.post("/iot/compare", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["msg"]
    assert len(reply.content) < 20_000


async def test_the_threshold_may_be_set(tmp_path: Path) -> None:
    iot = {"quality": {"same_person": 0.9}}
    async with running_gateway(tmp_path, services=SERVICES, iot=iot) as gateway:
        _, found = await ask(gateway, packed(FIRST), numbers(leaning(0.8)))
        assert (found["threshold"], found["same"]) == (0.9, False)


async def test_nothing_is_said_where_nobody_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {"model": "own", "dimensions": 512, "thresholds": {"same_person": None}}
    monkeypatch.setattr("tests.support.fake_triton.FACES", unknown)
    async with running_gateway(tmp_path, services=SERVICES) as gateway:
        _, found = await ask(gateway, packed(FIRST), numbers(leaning(0.8)))
        assert (found["threshold"], found["same"]) == (None, None)
        assert found["cosine"] == pytest.approx(0.8, abs=1e-6)


async def test_a_model_that_is_down_says_so(gateway: Running) -> None:
    gateway.triton.failures = [UnavailableError(retry_after=1)]
    status, _ = await ask(gateway, PICTURE, packed(FIRST))
    assert status == 503


async def test_keys_hold_here_too(tmp_path: Path) -> None:
    security = {"keys": [{"name": "app", "key": "sesame-opens"}]}
    async with running_gateway(tmp_path, services=SERVICES, security=security) as gateway:
        body = {"first": packed(FIRST), "second": packed(FIRST)}
        assert (await gateway.iot.post("/iot/compare", json=body)).status_code == 401
        headers = {"X-API-Key": "sesame-opens"}
        reply = await gateway.iot.post("/iot/compare", json=body, headers=headers)
        assert reply.status_code == 200


async def test_nothing_of_it_is_logged(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = numbers(leaning(0.123456789))
    await ask(gateway, PICTURE, secret)
    assert PICTURE["data"] not in caplog.text
    assert json.dumps(secret["vector"][0])[:8] not in caplog.text


async def test_what_is_wished_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings reach it, and its newer figures come behind the documented keys."""
    sent: list[dict[str, Any]] = []
    plain = {"face": True, "used": True, "reason": None}
    figures = {"quality": {"score": 1.0}, "pose_matches": True}
    newer = {**figures, "consistency": None, "consistent": None}

    def enroll(columns: dict[str, list[bytes]]) -> dict[str, np.ndarray]:
        if "OPTIONS" in columns:
            sent.append(json.loads(columns["OPTIONS"][0]))
        reports = [{**plain, **newer} for _ in columns["IMAGES"]]
        return {
            "VECTOR": FIRST,
            "THUMBNAIL": np.array([b"jpeg"], object),
            "IMAGE_REPORT": np.array([json.dumps(reports).encode()], object),
        }

    iot = {"quality": {"mode": "strict", "consistency": 0.3}, "extra_views": 12}
    async with running_gateway(tmp_path, services=SERVICES, iot=iot) as gateway:
        monkeypatch.setattr(gateway.triton, "_face_enrollment", enroll)
        images = [{"pose": "front", **PICTURE}]
        body = {"employee_id": "E", "images": images}
        (report,) = (await gateway.iot.post("/iot/vectorizer", json=body)).json()["images"]
    wished = {name: sent[-1][name] for name in ("quality", "consistency", "extra_views")}
    assert wished == {"quality": "strict", "consistency": 0.3, "extra_views": 12}
    assert report == {**plain, "index": 0, "pose": "front", **newer}
    assert list(report) == [*plain, "index", "pose", *newer]
