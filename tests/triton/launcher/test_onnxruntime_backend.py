"""The Python-based backend against the rules of NVIDIA's C++ onnxruntime backend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from tests.support.waiting import wait_for

from .conftest import Models

Graph = Callable[..., Any]
BACKEND = 'backend: "onnxruntime"\ninstance_group [ { count: 1 kind: KIND_CPU } ]\n'
FLOAT = TensorProto.FLOAT


def io(kind: str, name: str, dims: str, data_type: str = "TYPE_FP32", more: str = "") -> str:
    return f'{kind} [ {{ name: "{name}" data_type: {data_type} dims: [ {dims} ] {more} }} ]\n'


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'


@pytest.fixture(scope="module")
def double(graph: Graph) -> Any:
    shape = (FLOAT, ["batch", 3])
    return graph([("Add", ["X", "X"], ["Y"])], {"X": shape}, {"Y": shape})


@pytest.fixture(scope="module")
def fixed(graph: Graph) -> Any:
    shape = (FLOAT, [1, 3])
    return graph([("Add", ["X", "X"], ["Y"])], {"X": shape}, {"Y": shape})


RIGHT = BACKEND + "max_batch_size: 4\n" + io("input", "X", "3") + io("output", "Y", "3")

REFUSED = {
    "input_name": (BACKEND + io("input", "Z", "-1, 3") + io("output", "Y", "-1, 3"),
                   "unexpected inference input"),
    "output_name": (BACKEND + io("input", "X", "-1, 3") + io("output", "Z", "-1, 3"),
                    "unexpected inference output"),
    "extra_input": (RIGHT + io("input", "Z", "3"), "configuration expects 2 inputs"),
    "extra_output": (RIGHT + io("output", "Z", "3"), "unexpected inference output"),
    "input_dtype": (BACKEND + io("input", "X", "-1, 3", "TYPE_INT32") + io("output", "Y", "-1, 3"),
                    "configuration expects datatype TYPE_INT32 for input"),
    "output_dtype": (BACKEND + io("input", "X", "-1, 3") + io("output", "Y", "-1, 3", "TYPE_FP64"),
                     "configuration expects datatype TYPE_FP64 for output"),
    "bf16": (BACKEND + io("input", "X", "-1, 3", "TYPE_BF16") + io("output", "Y", "-1, 3"),
             "unsupported datatype TYPE_BF16"),
    "input_dims": (BACKEND + io("input", "X", "-1, 4") + io("output", "Y", "-1, 3"),
                   "the model expects 2"),
    "input_rank": (BACKEND + io("input", "X", "3") + io("output", "Y", "-1, 3"),
                   "the model expects 2"),
    "output_dims": (BACKEND + io("input", "X", "-1, 3") + io("output", "Y", "-1, -1"),
                    "the model expects 2"),
    "batch_in_dims": (BACKEND + "max_batch_size: 4\n" + io("input", "X", "-1, 3")
                      + io("output", "Y", "3"),
                      "batch because max_batch_size"),
    "number": (RIGHT + parameter("intra_op_thread_count", "many"), "non-negative number"),
    "mode": (RIGHT + parameter("execution_mode", "7"), "execution_mode are 0 or 1"),
    "boolean": (RIGHT + parameter("enable_mem_arena", "maybe"), "must be 0, 1, true or false"),
    "accelerator": (RIGHT + 'optimization { execution_accelerators { cpu_execution_accelerator '
                    '[ { name: "openvino" } ] } }\n', "unknown Execution Accelerator"),
    "sequence": (RIGHT + "sequence_batching { }\n", "sequence_batching is not supported"),
    "optional": (BACKEND + "max_batch_size: 4\n" + io("input", "X", "3", more="optional: true")
                 + io("output", "Y", "3"), "expects 0 inputs|optional input"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_load(models: Models, double: Any, case: str) -> None:
    config, message = REFUSED[case]
    with pytest.raises(InferenceServerException, match=message):
        models.load(f"refused_{case}", config, double)


def test_fixed_batch_is_refused_for_batching(models: Models, fixed: Any) -> None:
    with pytest.raises(InferenceServerException, match="first dimension must be -1"):
        models.load("fixed_batch", RIGHT, fixed)
    with pytest.raises(InferenceServerException, match="does not support batching"):
        models.load("fixed_auto", BACKEND + "max_batch_size: 2\n", fixed)


def test_missing_and_broken_files_are_refused(models: Models, double: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"unable to find '1/model\.onnx'"):
        models.load("no_file", RIGHT)
    double_bytes = double.SerializeToString()

    class Broken:
        def SerializeToString(self) -> bytes:
            return bytes(double_bytes[:20])

    with pytest.raises(InferenceServerException, match="onnx runtime error"):
        models.load("broken_file", RIGHT, Broken())


def test_bfloat16_graph_is_refused(models: Models, graph: Graph) -> None:
    shape = (TensorProto.BFLOAT16, ["batch", 3])
    model = graph([("Identity", ["X"], ["Y"])], {"X": shape}, {"Y": shape})
    with pytest.raises(InferenceServerException, match="TYPE_BF16"):
        models.load("bf16_graph", BACKEND, model)


def test_sequence_outputs_are_refused(models: Models) -> None:
    x = helper.make_tensor_value_info("X", FLOAT, ["batch", 3])
    y = helper.make_tensor_sequence_value_info("Y", FLOAT, None)
    node = helper.make_node("SequenceConstruct", ["X"], ["Y"])
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(InferenceServerException, match="Unsupported ONNX Type"):
        models.load("sequence_output", BACKEND, model)


def test_an_empty_configuration_is_completed(models: Models, double: Any) -> None:
    config = models.load("empty", "", double)
    assert config["backend"] == "onnxruntime"
    assert config["max_batch_size"] == 4
    assert "dynamic_batching" in config
    assert [(t["name"], t["data_type"], t["dims"]) for t in config["input"] + config["output"]] == [
        ("X", "TYPE_FP32", ["3"]),
        ("Y", "TYPE_FP32", ["3"]),
    ]
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(models.infer("empty", X=x)["Y"], 2 * x)


def test_a_fixed_batch_is_completed_without_batching(models: Models, fixed: Any) -> None:
    config = models.load("completed_fixed", BACKEND, fixed)
    assert "max_batch_size" not in config
    assert config["input"][0]["dims"] == ["1", "3"]
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(models.infer("completed_fixed", X=x)["Y"], 2 * x)


def test_documented_parameters_are_taken(models: Models, double: Any) -> None:
    config = RIGHT + "optimization { graph { level: 1 } }\n"
    for key, value in {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "1",
        "execution_mode": "1",
        "enable_mem_arena": "1",
        "enable_mem_pattern": "0",
        "memory.enable_memory_arena_shrinkage": "cpu:0",
        "session.use_device_allocator_for_initializers": "1",
        "share_session_between_instances": "true",
    }.items():
        config += parameter(key, value)
    models.load("parameters", config, double)
    x = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(models.infer("parameters", X=x)["Y"], 2 * x)


def test_other_file_name(models: Models, double: Any) -> None:
    config = RIGHT + 'default_model_filename: "other.onnx"\n'
    models.load("other_name", config, double, filename="other.onnx")
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(models.infer("other_name", X=x)["Y"], 2 * x)


TYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "FLOAT16": np.float16, "FLOAT": np.float32, "DOUBLE": np.float64,
}  # fmt: skip


def test_every_numeric_type_round_trips(models: Models, graph: Graph) -> None:
    nodes, inputs, outputs = [], {}, {}
    for name in TYPES:
        nodes.append(("Identity", [f"X_{name}"], [f"Y_{name}"]))
        inputs[f"X_{name}"] = outputs[f"Y_{name}"] = (getattr(TensorProto, name), ["batch", 2])
    models.load("all_types", BACKEND, graph(nodes, inputs, outputs))
    sent = {f"X_{name}": np.array([[0, 1], [1, 0]]).astype(kind) for name, kind in TYPES.items()}
    returned = models.infer("all_types", **sent)
    for name, kind in TYPES.items():
        assert returned[f"Y_{name}"].dtype == kind
        np.testing.assert_array_equal(returned[f"Y_{name}"], sent[f"X_{name}"])


def test_strings_round_trip(models: Models, graph: Graph) -> None:
    shape = (TensorProto.STRING, ["batch", "n"])
    models.load("strings", BACKEND, graph([("Identity", ["X"], ["Y"])], {"X": shape}, {"Y": shape}))
    data = np.array([["", "é😀".encode()], ["a" * 5000, b"x"]], dtype=object)
    returned = models.infer("strings", X=data)["Y"]
    assert returned.tolist() == [[b"", "é😀".encode()], [b"a" * 5000, b"x"]]
    with pytest.raises(InferenceServerException, match="not UTF-8"):
        models.infer("strings", X=np.array([[b"\xff", b"x"]], dtype=object))


def test_only_requested_outputs_are_returned(models: Models, graph: Graph) -> None:
    shape = (FLOAT, ["batch", 2])
    model = graph(
        [("Add", ["X", "X"], ["Y"]), ("Neg", ["X"], ["Z"])],
        {"X": shape},
        {"Y": shape, "Z": shape},
    )
    models.load("two_outputs", BACKEND, model)
    x = np.ones((1, 2), np.float32)
    assert sorted(models.infer("two_outputs", X=x)) == ["Y", "Z"]
    assert sorted(models.infer("two_outputs", ["Z"], X=x)) == ["Z"]


def test_scalars_and_optional_inputs(models: Models, graph: Graph) -> None:
    weight = helper.make_tensor("W", FLOAT, [1], [10.0])
    model = graph(
        [("Add", ["X", "W"], ["S"]), ("ReduceSum", ["S"], ["Y"])],
        {"X": (FLOAT, ["n"]), "W": (FLOAT, [1])},
        {"S": (FLOAT, ["n"]), "Y": (FLOAT, [1])},
        (weight,),
    )
    config = (
        BACKEND
        + io("input", "X", "-1")
        + io("input", "W", "1", more="optional: true")
        + io("output", "S", "-1")
    )
    models.load("optional_weight", config, model)
    x = np.array([1, 2], np.float32)
    assert models.infer("optional_weight", X=x)["S"].tolist() == [11, 12]
    w = np.array([5], np.float32)
    assert models.infer("optional_weight", X=x, W=w)["S"].tolist() == [6, 7]


def test_one_forward_per_batch(models: Models, double: Any) -> None:
    config = RIGHT.replace("max_batch_size: 4", "max_batch_size: 32")
    # With sixteen a batch is full and does not wait; how long they take to come does not matter.
    delay = "max_queue_delay_microseconds: 60000000"
    config += f"dynamic_batching {{ {delay} preferred_batch_size: [16] }}\n"
    models.load("batched", config, double)
    answers: dict[int, Any] = {}

    def ask(number: int) -> None:
        x = np.full((1, 3), number, np.float32)
        answers[number] = models.infer("batched", X=x)["Y"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answer in answers.items():
        assert answer.tolist() == [[2 * number] * 3]

    def counted() -> tuple[int, int]:
        stats = models.client.get_inference_statistics("batched").model_stats[0]
        return int(stats.inference_count), int(stats.execution_count)

    wait_for(lambda: counted()[0] >= 16 and counted()[1])  # a moment after the answers
    assert counted()[0] == 16
    assert counted()[1] <= 4


def test_an_error_in_the_graph_is_an_answer_and_the_model_lives_on(
    models: Models, graph: Graph
) -> None:
    model = graph(
        [("Reshape", ["X", "S"], ["Y"])],
        {"X": (FLOAT, ["n"]), "S": (TensorProto.INT64, [1])},
        {"Y": (FLOAT, ["m"])},
    )
    models.load(
        "failing",
        BACKEND
        + "max_batch_size: 0\n"
        + io("input", "X", "-1")
        + io("input", "S", "1", "TYPE_INT64")
        + io("output", "Y", "-1"),
        model,
    )
    x = np.ones(3, np.float32)
    with pytest.raises(InferenceServerException):
        models.infer("failing", X=x, S=np.array([7], np.int64))
    np.testing.assert_array_equal(models.infer("failing", X=x, S=np.array([3], np.int64))["Y"], x)
