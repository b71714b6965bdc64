"""A real clip through gateway and Triton to vLLM, and what happens when the engine dies."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from PIL import Image

from launcher.server import free_ports
from tests.support.clips import carphone, carphone_frames
from tests.support.stack import Stack
from tests.support.vlm_model import (
    CHECKPOINT,
    ENVIRONMENT,
    ROOT,
    VARIABLES,
    engines,
    random_model,
    series,
)
from tests.support.waiting import wait_for
from tests.vlm.conftest import Keeper

pytestmark = pytest.mark.timeout(600)
READY_SECONDS = 400


def repository(folder: Path) -> Path:
    """The project's models with a random checkpoint in `vlm`."""
    assert ENVIRONMENT.is_dir(), "`make vlm-env` creates the environment of these tests"
    subprocess.run([sys.executable, "-m", "export", "--services", "iot"], cwd=ROOT, check=True)
    skipped = shutil.ignore_patterns("vlm", "__pycache__")
    copy = folder / "repository"
    shutil.copytree(ROOT / "model_repository", copy, symlinks=True, ignore=skipped)
    return random_model(copy)


@pytest.fixture(scope="module")
def stack(keeper: Keeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    keeper.stop()  # one engine at a time
    folder = tmp_path_factory.mktemp("story")
    (port,) = free_ports(1)
    variables = {
        "PENTAD_SERVICES": '["iot"]',
        "PENTAD_IOT__PORT": str(port),
        "PENTAD_PATHS__REPOSITORY": str(repository(folder)),
        "PENTAD_IOT__EMOTIONS__ENGINE": "vlm",
        "PENTAD_IOT__EMOTIONS__FALLBACK": "false",
        "PENTAD_IOT__EMOTIONS__MAX_TOKENS": "2048",
        "PENTAD_IOT__EMOTIONS__THINKING_BUDGET": "16",
        **VARIABLES,
    }
    running = Stack(folder / "state", variables)
    try:
        running.start(READY_SECONDS)
        yield running
        running.stop()
        assert not engines(), "processes outlived the server"
    finally:
        running.kill()


def tell(stack: Stack, event: str = "e1", **fields: object) -> httpx.Response:
    clip = base64.b64encode(carphone()).decode()
    body = {"event_id": event, "video_clip": clip, **fields}
    return httpx.post(stack.main + "/iot/emotions", json=body, timeout=200)


def metric(stack: Stack, name: str, **labels: str) -> float:
    return series(stack.environment["PENTAD_TRITON__METRICS_URL"], name, **labels)


def test_a_clip_becomes_a_story_of_the_vlm(stack: Stack) -> None:
    reply = tell(stack)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["event_id"] == "e1"
    assert body["engine"] == "vlm"
    assert body["model"] == CHECKPOINT
    assert body["story"]
    assert "think>" not in body["story"]
    assert body["frames_analyzed"] == 16
    assert body["truncated"] is False
    assert body["inference_ms"] > 0


def pictures(count: int) -> dict[str, object]:
    """A request about frames of the clip; every one takes the VLM about 150 tokens."""
    images = []
    for number in range(count):
        stream = io.BytesIO()
        Image.fromarray(carphone_frames()[number * 4]).save(stream, "PNG")
        data = base64.b64encode(stream.getvalue()).decode()
        images.append({"frame": number, "data": data})
    return {"employee_id": "1", "images": images}


def test_pictures_are_judged_by_the_schema(stack: Stack) -> None:
    reply = httpx.post(stack.main + "/iot/emotions", json=pictures(2), timeout=200)
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert answer["engine"] == "vlm"
    assert len(answer["emotions"]) == 2


def test_four_clips_at_once(stack: Stack) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        events = [f"event {number}" for number in range(4)]
        replies = list(pool.map(lambda event: tell(stack, event), events))
    assert [reply.status_code for reply in replies] == [200] * 4
    assert [reply.json()["event_id"] for reply in replies] == events


def test_a_client_that_leaves_aborts_its_story(stack: Stack) -> None:
    before = metric(stack, "pentad_vlm_requests_total", outcome="cancelled")
    request = httpx.Request("POST", stack.main + "/iot/emotions", json=pictures(12))
    client = HTTPConnection(request.url.host, request.url.port, timeout=60)
    client.request("POST", "/iot/emotions", request.read(), dict(request.headers))
    wait_for(lambda: metric(stack, "pentad_vlm_load", state="generating"))
    client.close()
    wait_for(
        lambda: metric(stack, "pentad_vlm_requests_total", outcome="cancelled") > before,
        told=lambda: "the engine was never told",
    )


def test_a_dead_engine_is_503_then_loaded_again(stack: Stack) -> None:
    core = next(process for process in engines() if "EngineCore" in process.name())
    core.kill()
    reply = tell(stack)
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert "dead" not in reply.text
    assert httpx.get(stack.main + "/readyz", timeout=60).status_code == 503
    stack.wait_ready(READY_SECONDS)
    assert tell(stack).status_code == 200
    assert core.pid not in {process.pid for process in engines()}
