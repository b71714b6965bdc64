"""What lip-sync is told of a card that others are on, too, before any of them is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.capacity.machine import Gpu, Machine
from gateway.settings import Settings
from launcher import lipsync_room as module
from launcher import supervisor
from launcher.layout import LIPSYNC_ROOM
from launcher.lipsync_room import lipsync_room

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
GB = 10**9


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns bytes by card on a machine with two of 96 GB, of sections of the configuration."""
    cards = [Gpu(name="NVIDIA RTX PRO 6000", memory_gb=96)] * 2
    machine = Machine(gpus=cards, memory_gb=512, onnxruntime_gpu=False)
    monkeypatch.setattr(module, "this_machine", lambda: machine)

    def of(**sections: Any) -> Any:
        settings = Settings(**{"paths": {"repository": REPOSITORY}, **sections})
        return json.loads(lipsync_room(settings).get(LIPSYNC_ROOM, "{}"))

    return of


def test_the_vlms_share_is_left_alone(told: Any) -> None:
    """vLLM asks for 85 % of the card when it starts, however much lip-sync could use by then."""
    story = {"emotions": {"engine": "vlm"}}
    rooms = told(iot=story, lipsync={"gpus": {"count": 2}})
    assert rooms.keys() == {"0"}, "the second card is lip-sync's alone"
    assert 0 < rooms["0"] < (1 - 0.05 - 0.85) * 96 * GB


def test_nothing_is_told_where_nobody_else_is(told: Any) -> None:
    assert told(lipsync={"gpus": {"count": 2}}) == {}
    assert told(triton={"start": False}).keys() == {"0"}, "NVIDIA's Triton has networks there"
    assert told(triton={"start": False}, lipsync={"gpus": {"memory_gb_per_gpu": 10}}) == {}
    assert told(triton={"start": False}, services=["text", "vision"]) == {}
    assert told(triton={"start": False}, paths={"repository": "/nowhere"}) == {}


def test_the_embedded_server_is_started_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "lipsync_room", lambda _: {LIPSYNC_ROOM: "as planned"})
    environments: list[dict[str, str]] = []

    def spawned(command: list[str], **named: Any) -> None:
        environments.append(named["env"])

    monkeypatch.setattr("launcher.child.spawn", spawned)
    supervisor._server(Settings(paths={"state": tmp_path, "repository": REPOSITORY})).start()
    assert environments[0][LIPSYNC_ROOM] == "as planned"
