"""Every ONNX model has a TensorRT configuration that agrees with its portable one."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.folders import derive, set_sizes
from gateway.capacity.facts import NETWORKS
from gateway.health.engine import engine_name
from gateway.model_config import parameters, read_config
from gateway.settings import Settings
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
    assert PLANNED == COMMITTED


def test_the_old_classification_servers_engine() -> None:
    plan = declared(REPOSITORY, "image_classifier")
    assert plan is not None
    assert plan.precisions[0] == "FP16"
    one = plan.inputs["image"]
    assert [shape[0] for shape in (one.smallest, one.tuned, one.largest)] == [1, 4, 8]


@pytest.mark.parametrize("model", COMMITTED)
def test_fp32_on_a_gpu_is_fp32(model: str) -> None:
    """All configurations promise fp32; ONNX Runtime's CUDA provider computes TF32 unless told."""
    file = REPOSITORY / model / "config.pbtxt"
    config = read_config(file)
    assert "fp32" in file.read_text().split("name:")[0]
    (group,) = config["instance_group"]
    assert engine_name({**config, "instance_group": [{**group, "kind": "KIND_GPU"}]}) == (
        "onnxruntime fp32"
    )


@pytest.mark.parametrize("model", COMMITTED)
def test_what_nvidias_backend_is_told_for_a_gpu(model: str) -> None:
    """Keys and numbers of onnxruntime_backend's onnxruntime.cc, which reads these three from the
    parameters alone: without them it times every algorithm and doubles its memory."""
    given = parameters(read_config(REPOSITORY / model / "config.pbtxt"))
    assert given["cudnn_conv_algo_search"] == "1"  # HEURISTIC
    assert given["arena_extend_strategy"] == "1"  # kSameAsRequested
    weights = NETWORKS[model].weights
    assert 2 * weights + 2**30 < int(given["gpu_mem_limit"]) <= 8 * 2**30


@pytest.mark.parametrize("model", COMMITTED)
def test_a_warm_up_fits_the_inputs(model: str) -> None:
    for file in (REPOSITORY / model / "config.pbtxt", declaration_file(REPOSITORY, model)):
        config = read_config(file)
        assert parameters(config)["cards"] == "1"
        (warm_up,) = config["model_warmup"]
        assert set(warm_up["inputs"]) == {one["name"] for one in config["input"]}
        for one in config["input"]:
            sample = warm_up["inputs"][one["name"]]
            assert sample["data_type"] == one["data_type"]
            assert sample["zero_data"]  # noise would be no token's number
            pairs = zip(one["dims"], sample["dims"], strict=True)
            assert all(size in ("-1", has) for size, has in pairs)
    plan = declared(REPOSITORY, model)
    assert plan is not None
    for name, sample in warm_up["inputs"].items():
        shape = (1, *map(int, sample["dims"]))
        low, high = plan.inputs[name].smallest, plan.inputs[name].largest
        assert all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))


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


def test_the_detectors_plan_takes_the_sides_that_are_sent_by_default() -> None:
    plan = declared(REPOSITORY, "face_detector")
    assert plan is not None
    assert plan.longest == Settings().iot.detection_side
    story = parameters(read_config(REPOSITORY / "emotion_story" / "config.pbtxt"))
    assert int(story["detection_side"]) <= plan.longest


def test_a_derived_classifier_has_a_plan_of_its_sizes(tmp_path: Path) -> None:
    name = "image_classifier_wide"
    (tmp_path / "image_classifier").symlink_to(REPOSITORY / "image_classifier")
    derive(tmp_path, "image_classifier", {"image_classifier": name})
    set_sizes(tmp_path, name, {224: 256, 1000: 7})
    plan = declared(tmp_path, name)
    assert plan is not None
    assert plan.inputs["image"].largest == (8, 256, 256, 3)
    for file in (tmp_path / name).rglob("*.pbtxt"):
        config = read_config(file)
        assert config["output"][0]["dims"] == ["7"]
        assert config["model_warmup"][0]["inputs"]["image"]["dims"] == ["256", "256", "3"]
        assert parameters(config).get("gpu_mem_limit", "8589934592") == "8589934592"
