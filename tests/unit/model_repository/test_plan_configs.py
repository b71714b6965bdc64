"""Every ONNX model has a TensorRT configuration that agrees with its portable one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.plans.declared import declaration_file, declared
from gateway.settings import Settings
from gateway.triton.model_config import parameters, read_config

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
COMMITTED = sorted(
    file.parent.name
    for file in REPOSITORY.glob("*/config.pbtxt")
    if not (file.parent / ".gitignore").exists()
    and read_config(file).get("backend") == "onnxruntime"
)
PLANNED = [name for name in COMMITTED if declared(REPOSITORY, name)]


def test_every_network_runs_on_tensorrt() -> None:
    assert len(COMMITTED) >= 7
    assert PLANNED == COMMITTED


def test_the_old_classification_servers_engine() -> None:
    plan = declared(REPOSITORY, "image_classifier")
    assert plan is not None
    assert plan.precisions[0] == "FP16"
    one = plan.inputs["image"]
    assert [shape[0] for shape in (one.smallest, one.tuned, one.largest)] == [1, 4, 8]


def test_no_network_asks_for_onnx_runtimes_tensorrt_provider() -> None:
    """It gives TensorRT parts of a graph, whose inputs no configuration can name the shapes of."""
    for file in REPOSITORY.rglob("*.pbtxt"):
        wanted = read_config(file).get("optimization", {}).get("execution_accelerators", {})
        names = {one["name"] for one in wanted.get("gpu_execution_accelerator", [])}
        assert "tensorrt" not in names, file
        assert "/tmp" not in file.read_text(), file  # a folder that others can write


@pytest.mark.parametrize("model", PLANNED)
def test_the_plan_takes_and_gives_what_the_graph_does(model: str) -> None:
    plan = read_config(declaration_file(REPOSITORY, model))
    portable = read_config(REPOSITORY / model / "config.pbtxt")
    assert plan["name"] == portable["name"] == model
    assert plan["input"] == portable["input"]
    assert plan["output"] == portable["output"]
    assert plan["default_model_filename"] == "model.plan"
    assert {group["kind"] for group in plan["instance_group"]} == {"KIND_GPU"}
    wanted = declared(REPOSITORY, model)
    assert wanted is not None
    assert wanted.precisions[-1] == "FP32"  # what every graph can fall back to


@pytest.mark.parametrize(
    ("caller", "parameter", "network"),
    [
        ("text_embedding", "chunk_rows", "sentence_encoder"),
        ("bertscore", "chunk_rows", "token_encoder"),
        ("face_enrollment", "batch_rows", "face_embedder"),
    ],
)
def test_callers_send_no_more_than_the_plan_takes(
    caller: str, parameter: str, network: str
) -> None:
    sent = int(parameters(read_config(REPOSITORY / caller / "config.pbtxt"))[parameter])
    plan = declared(REPOSITORY, network)
    assert plan is not None
    assert all(sent <= one.largest[0] for one in plan.inputs.values())


def test_the_detectors_plan_takes_the_sides_that_are_sent_by_default() -> None:
    plan = declared(REPOSITORY, "face_detector")
    assert plan is not None
    assert plan.longest == Settings().iot.detection_side
    story = parameters(read_config(REPOSITORY / "emotion_story" / "config.pbtxt"))
    assert int(story["detection_side"]) <= plan.longest
