"""The enrollment modal's own server, and the devices that its vectors end on; no key anywhere."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.clients.conftest import Old
from tests.support.portraits import carphone_man, collins, hopper, jpeg, lit, scaled

POSES = ("front", "left", "right", "up", "down")
AXIOS = {"Accept": "application/json, text/plain, */*", "User-Agent": "axios/1.6.0"}
DEVICE_THRESHOLDS = (0.35, 0.55)  # cosine distance in the device's code, and in its configuration


def looks(picture: Image.Image) -> list[Image.Image]:
    """Five pictures of a session: light and distance differ."""
    return [picture, lit(picture, 0.8), lit(picture, 1.2), scaled(picture, 0.8), lit(picture, 0.9)]


def data_url(picture: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode()


class ModalServer:
    """What it does for one enrollment, over the addresses it is configured with."""

    def __init__(self, base: str) -> None:
        self.api = httpx.Client(base_url=base, headers=AXIOS, timeout=60)

    def process(self, user: str, shown: list[str]) -> httpx.Response:
        captures = [
            {"pose": POSES[place % 5], "image_data": data} for place, data in enumerate(shown)
        ]
        return self.api.post("/api/process", json={"user_id": user, "captures": captures})

    def enroll(self, user: str, pictures: list[Image.Image]) -> str:
        """Return what it publishes to the devices; with an error it would publish zeros."""
        assert self.api.get("/health", timeout=5).status_code == 200
        made = self.process(user, [data_url(one) for one in pictures])
        assert made.json()["success"] is True
        assert made.json()["embedding_count"] == len(pictures)
        fetched: list[float] = self.api.get(f"/api/embedding/{user}").json()["embedding"]
        return base64.b64encode(np.array(fetched, np.float32).tobytes()).decode()

    def published(self, user: str, pictures: list[Image.Image]) -> str:
        """What it gets from the vectorizer, as the bridge does."""
        images = [
            {"pose": pose, "data": data_url(one)} for pose, one in zip(POSES, pictures, strict=True)
        ]
        body = {"employee_id": user, "images": images, "function": "facial_embedding"}
        reply = self.api.post("/iot/vectorizer", json=body).json()
        assert (reply["embedding_dim"], reply["image_count"]) == (512, 5)
        assert reply["enrollmentPictureThumbnail"]
        return str(reply["enrollmentProcessedFile"])


def on_device(embedded_file: str) -> np.ndarray:
    """What a device keeps of an `embedded_file`."""
    vector = np.frombuffer(base64.b64decode(embedded_file), np.float32)
    assert len(vector) == 512
    return vector


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture(scope="module")
def modal(old: Old) -> ModalServer:
    return ModalServer(old.stack.iot)


def test_an_enrollment_is_what_the_vectorizer_makes(modal: ModalServer) -> None:
    person = looks(collins())
    enrolled = on_device(modal.enroll("emp/42", person))
    assert distance(enrolled, on_device(modal.published("emp/42", person))) < 1e-5
    assert not np.isclose(np.linalg.norm(enrolled), 1, atol=0.05)  # the mean as it is
    assert modal.api.delete("/api/enrollment/emp/42").json()["success"] is True
    assert modal.api.get("/api/embedding/emp/42").status_code == 404
    assert modal.api.delete("/api/enrollment/emp/42").status_code == 404  # which it tolerates


def test_a_device_tells_people_apart(modal: ModalServer) -> None:
    people = {"collins": collins(), "hopper": hopper()}
    known = {name: on_device(modal.enroll(name, looks(face))) for name, face in people.items()}
    seen = on_device(modal.published("?", looks(lit(scaled(collins(), 0.7), 1.1))))
    assert distance(seen, known["collins"]) < min(DEVICE_THRESHOLDS)
    assert distance(seen, known["hopper"]) > max(DEVICE_THRESHOLDS)


def test_what_it_reads_of_an_error(modal: ModalServer) -> None:
    nobody = data_url(Image.new("RGB", (320, 240), (90, 140, 90)))
    for shown in ([data_url(collins())] * 4, [nobody] * 5, [data_url(collins()), *[nobody] * 4]):
        reply = modal.process("u", shown)
        assert reply.status_code == 400
        found: dict[str, Any] = reply.json()
        assert found["success"] is False
        assert found["error"]
    assert modal.api.get("/api/embedding/u").status_code == 404


def test_two_of_five_are_enough(modal: ModalServer) -> None:
    nobody = data_url(Image.new("RGB", (320, 240), (90, 140, 90)))
    shown = [data_url(collins()), nobody, "data:,", nobody, data_url(lit(collins(), 0.8))]
    assert modal.process("u2", shown).json()["embedding_count"] == 2


def test_behind_a_proxy_with_the_old_root_path(old: Old) -> None:
    """Whether the proxy of `ROOT_PATH` takes its prefix off or not."""
    for prefix in ("", "/galaxy/gpu"):
        below = ModalServer(old.stack.iot + prefix)
        for path in ("/health", "/", "/iot/health", "/iot/models", "/docs"):
            assert below.api.get(path).status_code == 200, prefix + path
        assert below.process("u", []).json()["success"] is False
        assert below.api.get("/api/embedding/nobody").json()["success"] is False


def test_the_devices_events_get_their_story(old: Old) -> None:
    """As a device will send them: frames of a clip with the labels' numbers."""
    frames = [{"frame": 25 * n, "data": data_url(carphone_man(n))} for n in range(3)]
    body = {"event_id": "EV2-1767100000000-cam7", "employee_id": "E-7", "images": frames}
    found = httpx.post(f"{old.stack.iot}/iot/emotions", json=body, timeout=60).json()
    assert [one["frame"] for one in found["emotions"]] == [0, 25, 50]
    assert found["event_id"] == "EV2-1767100000000-cam7"
    assert found["mock"] is False
