"""Every ONNX model has a TensorRT configuration that agrees with its portable one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.triton.model_config import parameters, read_config
from gateway.triton.tensorrt_plans.declared import declaration_file, declared

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
    by_provider = {
        name
        for name in COMMITTED
        if "execution_accelerators"
        in read_config(declaration_file(REPOSITORY, name)).get("optimization", {})
    }
    assert by_provider == set(COMMITTED) - set(PLANNED) == {"image_classifier"}


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
