"""A plan is chosen only where everything in its key file fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.plans.choice import PlanChooser
from gateway.plans.key import KEY, PLAN, PlanKey, read_record
from tests.support.plan_models import MODEL, PLANNED, PORTABLE, graph, write_model
from tests.support.plan_models import install_plan as install

MEASURED_BADLY = json.dumps(
    {"key": dict.fromkeys(PlanKey.__annotations__, ""), "plan_sha256": "", "measured": 3}
)


def backend(chooser: PlanChooser) -> str:
    choice = chooser.choose(MODEL)
    assert choice is not None
    assert bool(choice.plan) == (choice.config["backend"] == "tensorrt")
    return str(choice.config["backend"])


def test_onnx_until_there_is_a_plan(tmp_path: Path) -> None:
    folder, chooser = write_model(tmp_path), PlanChooser(tmp_path)
    assert backend(chooser) == "onnxruntime"
    record = install(folder)
    assert backend(chooser) == "tensorrt"
    choice = chooser.choose(MODEL)
    assert choice is not None
    assert choice.plan == record.key.digest
    assert choice.config["default_model_filename"] == PLAN


def test_models_without_a_declaration_are_left_alone(tmp_path: Path) -> None:
    write_model(tmp_path, planned=PORTABLE)
    assert PlanChooser(tmp_path).choose(MODEL) is None
    assert PlanChooser(tmp_path).choose("absent") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"onnx_sha256": "0" * 64},
        {"precision": "FP8"},
        {"profile": '{"x":[[1,1],[4,16],[8,64]]}'},
    ],
)
def test_another_models_plan_is_not_chosen(changes: dict[str, str], tmp_path: Path) -> None:
    install(write_model(tmp_path), **changes)
    assert backend(PlanChooser(tmp_path)) == "onnxruntime"


def test_a_plan_goes_stale_under_a_running_gateway(tmp_path: Path) -> None:
    folder, chooser = write_model(tmp_path), PlanChooser(tmp_path)
    install(folder)
    assert backend(chooser) == "tensorrt"
    (folder / "model.onnx").write_bytes(graph(2.0))
    assert backend(chooser) == "onnxruntime"
    install(folder)
    assert backend(chooser) == "tensorrt"
    (folder / PLAN).write_bytes(b"other bytes")
    assert backend(chooser) == "onnxruntime"
    install(folder)
    (folder / PLAN).unlink()
    assert backend(chooser) == "onnxruntime"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", MEASURED_BADLY, '{"key": {}, "plan_sha256": "", "measured": {}}']
)
def test_a_broken_key_file_is_none(text: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    install(folder)
    (folder / KEY).write_text(text)
    assert read_record(folder / KEY) is None
    assert backend(PlanChooser(tmp_path)) == "onnxruntime"


def test_what_triton_could_not_load_is_not_chosen_again(tmp_path: Path) -> None:
    folder, chooser = write_model(tmp_path), PlanChooser(tmp_path)
    install(folder)
    choice = chooser.choose(MODEL)
    assert choice is not None
    chooser.reject(choice)
    assert backend(chooser) == "onnxruntime"
    install(folder, tensorrt="10.14.1.48")  # a new one may work
    assert backend(chooser) == "tensorrt"


def test_requests_that_are_larger_than_the_plans_shapes(tmp_path: Path) -> None:
    install(write_model(tmp_path))
    assert backend(PlanChooser(tmp_path, {MODEL: 32})) == "tensorrt"
    assert backend(PlanChooser(tmp_path, {MODEL: 33})) == "onnxruntime"


def test_what_cannot_be_read_is_onnx_and_not_left_to_triton(tmp_path: Path) -> None:
    folder = write_model(tmp_path, planned=PLANNED.replace("FP16,FP32", "FP12"))
    assert backend(PlanChooser(tmp_path)) == "onnxruntime"
    (folder.parent / "configs" / "tensorrt.pbtxt").write_text("no configuration")
    assert backend(PlanChooser(tmp_path)) == "onnxruntime"
    write_model(tmp_path)
    install(folder)
    (folder / "model.onnx").unlink()
    assert backend(PlanChooser(tmp_path)) == "onnxruntime"
    (folder.parent / "config.pbtxt").unlink()
    assert PlanChooser(tmp_path).choose(MODEL) is None


def test_every_field_of_a_key_makes_another_plan() -> None:
    key = PlanKey("a", "b", "c", "d", "e", "f")
    others = [replace(key, **{name: "x"}) for name in key.__dict__]
    assert len({one.digest for one in (key, *others)}) == 7
    assert [key.differences(one) for one in others] == [[name] for name in key.__dict__]
