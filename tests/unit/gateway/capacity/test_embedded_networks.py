"""What the embedded server's networks take on a machine with GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.capacity import facts
from gateway.capacity.compute import plan, with_all_gpus
from gateway.capacity.machine import Machine, described, has_onnxruntime_gpu, this_machine
from gateway.capacity.placement import Plan
from gateway.placement import forced_devices
from gateway.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[4] / "model_repository"
CONTAINER = {"start": False}


def worked_out(machine: Machine, **sections: Any) -> Plan:
    settings = Settings(paths={"repository": REPOSITORY}, **sections)
    return plan(with_all_gpus(settings, machine), machine, forced_devices(settings))


def test_the_embedded_triton_has_a_process_and_a_context_for_each_network() -> None:
    card, host = worked_out(described(1, 48, 64)).devices
    sizes = {item.what: item for item in card.items}
    assert {"face_detector", "tritonserver: context"} <= set(sizes)
    assert sizes["face_detector: context"].bytes == facts.CONTEXT
    assert sizes["face_detector"].instances == 1
    hosted = {item.what for item in host.items}
    assert "face_detector: processes" in hosted
    assert "face_detector" not in hosted
    in_container = worked_out(described(1, 48, 64), triton=CONTAINER).devices[0]
    assert in_container.fixed < card.fixed


def test_without_onnxruntime_gpu_the_embedded_networks_are_on_the_host() -> None:
    machine = described(1, 24, 64).model_copy(update={"onnxruntime_gpu": False})
    found = worked_out(machine)
    assert {item.engine for item in found.devices[0].items} <= {"CUDA", "torch, CUDA graphs"}
    assert "face_detector" in {item.what for item in found.devices[1].items}
    assert "onnxruntime-gpu is not installed" in found.notes[0]
    assert found.notes[0] not in worked_out(machine, triton=CONTAINER).notes


def test_this_machine_has_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_onnxruntime_gpu() is this_machine().onnxruntime_gpu
    monkeypatch.setattr("gateway.capacity.machine.version", lambda name: "1.31.1")
    assert this_machine().onnxruntime_gpu
