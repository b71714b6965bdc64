"""The Python-based openvino backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from tritonclient.utils import InferenceServerException

from .conftest import Models

Graph = Callable[..., Any]
BACKEND = (
    'backend: "openvino"\ndefault_model_filename: "model.onnx"\n'
    "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
)
PORTS = (
    'input [ { name: "X" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]\n'
    'output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]\n'
)


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'


@pytest.fixture(scope="module")
def double(graph: Graph) -> Any:
    shape = (TensorProto.FLOAT, ["batch", "n"])
    return graph([("Add", ["X", "X"], ["Y"])], {"X": shape}, {"Y": shape})


def test_any_shape_with_documented_parameters(models: Models, double: Any) -> None:
    config = BACKEND + PORTS
    for key, value in {
        "INFERENCE_NUM_THREADS": "1",
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "HINT_BF16": "YES",
    }.items():
        config += parameter(key, value)
    models.load("dynamic", config, double)
    for shape in ((1, 2), (5, 3), (2, 7), (1, 2)):
        x = np.random.default_rng(0).random(shape, np.float32)
        # bfloat16 keeps 8 bits of the mantissa.
        np.testing.assert_allclose(models.infer("dynamic", X=x)["Y"], 2 * x, rtol=2**-7)


def test_completion_and_batch_of_one(models: Models, double: Any) -> None:
    config = models.load("completed", BACKEND, double)
    assert "max_batch_size" not in config
    assert config["input"][0]["dims"] == ["-1", "-1"]
    one = BACKEND + "max_batch_size: 1\n" + PORTS.replace("[ -1, -1 ]", "[ -1 ]")
    models.load("batch_of_one", one, double)
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(models.infer("batch_of_one", X=x)["Y"], 2 * x)


def test_batches_with_padding_enabled(models: Models, double: Any) -> None:
    config = BACKEND + "max_batch_size: 8\n" + PORTS.replace("[ -1, -1 ]", "[ -1 ]")
    models.load("padded", config + parameter("ENABLE_BATCH_PADDING", "YES"), double)
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(models.infer("padded", X=x)["Y"], 2 * x)


def test_reshaped_inputs(models: Models, double: Any) -> None:
    config = BACKEND + PORTS.replace("[ -1, -1 ]", "[ 2, 3 ]")
    models.load("reshaped", config + parameter("RESHAPE_IO_LAYERS", "YES"), double)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(models.infer("reshaped", X=x)["Y"], 2 * x)


REFUSED = {
    "batch": (BACKEND + "max_batch_size: 8\n" + PORTS.replace("[ -1, -1 ]", "[ -1 ]"),
              "ENABLE_BATCH_PADDING"),
    "name": (BACKEND + PORTS.replace('"X"', '"Z"'), "unexpected inference input"),
    "dtype": (BACKEND + PORTS.replace("TYPE_FP32", "TYPE_INT32"), "datatype TYPE_INT32"),
    "rank": (BACKEND + PORTS.replace("[ -1, -1 ]", "[ -1 ]"), "expects 2 dimensions"),
    "threads": (BACKEND + PORTS + parameter("INFERENCE_NUM_THREADS", "x"), "non-negative"),
    "hint": (BACKEND + PORTS + parameter("PERFORMANCE_HINT", "FAST"), "expected the parameter"),
    "file": (BACKEND.replace("model.onnx", "other.xml") + PORTS, "unable to find '1/other.xml'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_load(models: Models, double: Any, case: str) -> None:
    config, message = REFUSED[case]
    with pytest.raises(InferenceServerException, match=message):
        models.load(f"refused_{case}", config, double)


def test_strings_are_refused(models: Models, graph: Graph) -> None:
    shape = (TensorProto.STRING, ["n"])
    model = graph([("Identity", ["X"], ["Y"])], {"X": shape}, {"Y": shape})
    with pytest.raises(InferenceServerException, match=r"datatype|openvino error"):
        models.load("strings", BACKEND, model)
