from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.backends.pentad_backend import completion, configuration, validation
from launcher.backends.pentad_backend.tensors import LoadError, TensorInfo


def tensor(name: str, dims: list[int], data_type: str = "TYPE_FP32", **more: Any) -> dict[str, Any]:
    return {"name": name, "data_type": data_type, "dims": dims, **more}


BATCHED = TensorInfo("TYPE_FP32", (-1, 3))
FIXED = TensorInfo("TYPE_FP32", (1, 3))
SCALAR = TensorInfo("TYPE_FP32", ())


@pytest.mark.parametrize(
    ("max_batch_size", "inputs", "graph", "message"),
    [
        (0, [tensor("Y", [-1, 3])], {"X": BATCHED}, "unexpected inference input 'Y', allowed"),
        (0, [], {"X": BATCHED}, "expects 0 inputs, model provides 1"),
        (0, [tensor("X", [-1, 3]), tensor("Y", [1])], {"X": BATCHED}, "expects 2 inputs"),
        (0, [tensor("X", [-1, 3], "TYPE_INT32")], {"X": BATCHED}, "model provides TYPE_FP32"),
        (0, [tensor("X", [-1, 3], "TYPE_BF16")], {"X": BATCHED}, "unsupported datatype TYPE_BF16"),
        (0, [tensor("X", [-1, 4])], {"X": BATCHED}, r"shape \[-1,3\]"),
        (0, [tensor("X", [-1, 3, 1])], {"X": BATCHED}, "expects 2 dimensions"),
        (0, [tensor("X", [-1, -1])], {"X": BATCHED}, r"specifies 2 dimensions"),
        (4, [tensor("X", [-1, 3])], {"X": BATCHED}, "specifies 3 dimensions"),
        (4, [tensor("X", [3])], {"X": FIXED}, "first dimension must be -1"),
        (0, [tensor("X", [2])], {"X": SCALAR}, "should only provide 1"),
        (4, [tensor("X", [1])], {"X": SCALAR}, "scalar tensor"),
    ],
)
def test_wrong_inputs(
    max_batch_size: int, inputs: list[Any], graph: dict[str, TensorInfo], message: str
) -> None:
    config = {"name": "m", "max_batch_size": max_batch_size, "input": inputs}
    with pytest.raises(LoadError, match=message):
        validation.check_inputs(config, graph, {})


@pytest.mark.parametrize(
    ("max_batch_size", "io", "info"),
    [
        (0, tensor("X", [7, 3]), BATCHED),
        (0, tensor("X", [-1, 3]), BATCHED),
        (8, tensor("X", [3]), BATCHED),
        (8, tensor("X", [1, 3], reshape={"shape": [3]}), BATCHED),
        (8, tensor("X", [1], reshape={"shape": []}), TensorInfo("TYPE_FP32", (-1,))),
        (0, tensor("X", [1]), SCALAR),
    ],
)
def test_right_inputs(max_batch_size: int, io: dict[str, Any], info: TensorInfo) -> None:
    config = {"name": "m", "max_batch_size": max_batch_size, "input": [io]}
    validation.check_inputs(config, {"X": info}, {})


def test_optional_inputs_are_initializers_of_unbatched_models() -> None:
    config = {"input": [tensor("X", [-1, 3]), tensor("W", [3], optional=True)]}
    known = {"W": TensorInfo("TYPE_FP32", (3,))}
    validation.check_inputs(config, {"X": BATCHED}, known)
    batched = {**config, "max_batch_size": 2}
    with pytest.raises(LoadError, match="optional input 'W'"):
        validation.check_inputs(
            {**batched, "input": [tensor("X", [3]), config["input"][1]]}, {"X": BATCHED}, known
        )


def test_outputs_may_be_fewer_but_must_match_exactly() -> None:
    graph = {"Y": BATCHED, "Z": BATCHED}
    validation.check_outputs({"output": [tensor("Y", [-1, 3])]}, graph)
    with pytest.raises(LoadError, match="unexpected inference output"):
        validation.check_outputs({"output": [tensor("Q", [-1, 3])]}, graph)
    with pytest.raises(LoadError, match=r"specifies 2 dimensions \(shape \[5,3\]\)"):
        validation.check_outputs({"output": [tensor("Y", [5, 3])]}, graph)


def test_completion_of_an_empty_configuration() -> None:
    config: dict[str, Any] = {"name": "m"}
    assert completion.needed(config)
    completion.complete(
        config, {"B": BATCHED, "A": TensorInfo("TYPE_INT64", (-1,))}, {"Y": BATCHED}
    )
    assert config["max_batch_size"] == 4
    assert config["dynamic_batching"] == {}
    assert [io["name"] for io in config["input"]] == ["A", "B"]
    assert config["input"][0] == tensor("A", [1], "TYPE_INT64", reshape={"shape": []})
    assert config["output"] == [tensor("Y", [3])]
    assert not completion.needed(config)


def test_completion_keeps_what_is_given() -> None:
    given = [tensor("X", [3])]
    config = {"max_batch_size": 1, "input": given, "sequence_batching": {}}
    completion.complete(config, {"X": BATCHED}, {"Y": BATCHED})
    assert config["input"] is given
    assert config["max_batch_size"] == 1
    assert "dynamic_batching" not in config


def test_completion_without_batching() -> None:
    config: dict[str, Any] = {}
    completion.complete(config, {"X": FIXED}, {"Y": SCALAR})
    assert not config.get("max_batch_size")
    assert config["input"] == [tensor("X", [1, 3])]
    assert config["output"] == [tensor("Y", [1])]
    with pytest.raises(LoadError, match="does not support batching"):
        completion.complete({"max_batch_size": 2}, {"X": FIXED}, {"Y": SCALAR})
    with pytest.raises(LoadError, match="unsupported datatype"):
        completion.complete({}, {"X": TensorInfo("TYPE_BF16", (1,))}, {})


def test_completion_by_layout_does_not_guess_a_batch() -> None:
    config: dict[str, Any] = {}
    completion.complete(config, {"X": BATCHED}, {"Y": BATCHED}, infer_batching=False)
    assert config["input"] == [tensor("X", [-1, 3])]
    assert "max_batch_size" not in config


@pytest.mark.parametrize("text", ["x", "", "-1", "1.5", "2 threads"])
def test_numbers_are_strict(text: str) -> None:
    config = {"parameters": {"n": {"string_value": text}}}
    with pytest.raises(LoadError, match="'n' must be a non-negative number"):
        configuration.int_parameter(config, "n")


def test_booleans_are_strict() -> None:
    def read(text: str) -> bool | None:
        return configuration.bool_parameter({"parameters": {"b": {"string_value": text}}}, "b")

    assert [read(text) for text in ("1", "True", "0", "false")] == [True, True, False, False]
    assert configuration.bool_parameter({}, "b") is None
    with pytest.raises(LoadError, match="'b' must be 0, 1, true or false, got 'yes'"):
        read("yes")


@pytest.mark.parametrize(
    "config",
    [
        {"sequence_batching": {"direct": {}}},
        {"batch_input": [{}]},
        {"input": [tensor("X", [1], allow_ragged_batch=True)]},
        {"model_transaction_policy": {"decoupled": True}},
    ],
)
def test_what_cannot_be_honoured_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match="not supported"):
        configuration.refuse_unsupported(config)


def test_model_file(tmp_path: Path) -> None:
    version = tmp_path / "1"
    (version / "folder").mkdir(parents=True)
    with pytest.raises(LoadError, match=r"unable to find '1/model\.onnx'"):
        configuration.model_file({"name": "m"}, version, "model.onnx")
    (version / "model.onnx").touch()
    (version / "folder" / "model.onnx").touch()
    (version / "other.onnx").touch()
    for given, found in (
        ("", "model.onnx"),
        ("other.onnx", "other.onnx"),
        ("folder", "folder/model.onnx"),
    ):
        config = {"default_model_filename": given}
        assert configuration.model_file(config, version, "model.onnx") == version / found
