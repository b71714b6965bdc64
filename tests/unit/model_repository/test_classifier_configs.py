"""The classifier's configurations, profiles included, are what Triton can read and agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
PROFILES = {"tensorrt": (1, 4, 8), "tensorrt_throughput": (1, 32, 64)}


def parsed(model: str, profile: str | None = None) -> model_config_pb2.ModelConfig:
    folder = REPOSITORY / model
    file = folder / "configs" / f"{profile}.pbtxt" if profile else folder / "config.pbtxt"
    return text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("profile", PROFILES)
def test_the_engine_is_built_for_the_batches_that_triton_sends(profile: str) -> None:
    config, portable = parsed("image_classifier", profile), parsed("image_classifier")
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert accelerator.parameters["precision_mode"] == "FP16"
    for bound, rows in zip(("min", "opt", "max"), PROFILES[profile], strict=True):
        shape = accelerator.parameters[f"trt_profile_{bound}_shapes"]
        assert shape == f"image:{rows}x224x224x3"
    assert config.max_batch_size == PROFILES[profile][2]
    assert list(config.input) == list(portable.input)
    assert list(config.output) == list(portable.output)


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_the_pipeline_sends_batches_that_the_network_takes(profile: str | None) -> None:
    caller, network = parsed("image_classification", profile), parsed("image_classifier", profile)
    values = {key: item.string_value for key, item in caller.parameters.items()}
    assert values["classifier"] == network.name == "image_classifier"
    assert int(values["batch_rows"]) <= network.max_batch_size
    assert caller.instance_group[0].count == 1
    portable = parsed("image_classification")
    assert list(caller.input) == list(portable.input)
    assert list(caller.output) == list(portable.output)
    assert set(values) == set(portable.parameters)
