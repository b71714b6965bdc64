"""TensorRT is given its own form of a graph; the answers stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.errors import ExportError
from export.pixels import split_prelu
from export.tensorrt.graph import for_tensorrt
from tests.support.plan_models import write_model

REPOSITORY = Path(__file__).resolve().parents[4] / "model_repository"


def written(file: Path, *nodes: onnx.NodeProto, output: int = TensorProto.FLOAT) -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 5, 3])
    y = helper.make_tensor_value_info("y", output, ["batch", None, None, None])
    order = helper.make_tensor("order", TensorProto.INT64, [3], [2, 1, 0])
    body = helper.make_graph(list(nodes), "bytes", [image], [y], [order])
    moved = helper.make_tensor_value_info("moved", TensorProto.UINT8, ["batch", 3, 4, 5])
    body.value_info.append(moved)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(file))
    return file


def moving() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Transpose", ["image"], ["moved"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["moved", "order"], ["ordered"], axis=1),
        helper.make_node("Cast", ["ordered"], ["y"], to=TensorProto.FLOAT),
    ]


def only_cast(model: bytes) -> bool:
    """Whether TensorRT would take every input of bytes."""
    graph = onnx.load_from_string(model).graph
    names = {one.name for one in graph.input if one.type.tensor_type.elem_type == TensorProto.UINT8}
    users = {node.op_type for node in graph.node if not names.isdisjoint(node.input)}
    return users == {"Cast"}


def answers(model: bytes, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return list(session.run(None, feed))


def test_bytes_are_cast_before_they_are_moved(tmp_path: Path) -> None:
    file = written(tmp_path / "model.onnx", *moving())
    found = for_tensorrt(file)
    assert found is not None
    onnx.checker.check_model(onnx.load_from_string(found))
    assert only_cast(found)
    assert not only_cast(file.read_bytes())
    feed = {"image": np.arange(120, dtype=np.uint8).reshape(2, 4, 5, 3) * 2}
    np.testing.assert_array_equal(answers(found, feed), answers(file.read_bytes(), feed))


def test_other_graphs_are_left(tmp_path: Path) -> None:
    assert for_tensorrt(write_model(tmp_path) / "model.onnx") is None


def test_bytes_that_are_computed_with_are_refused(tmp_path: Path) -> None:
    pool = helper.make_node("MaxPool", ["image"], ["y"], kernel_shape=[1, 1])
    with pytest.raises(ExportError, match="MaxPool uses them"):
        for_tensorrt(written(tmp_path / "a.onnx", pool))
    move = helper.make_node("Transpose", ["image"], ["y"], perm=[0, 3, 1, 2])
    with pytest.raises(ExportError, match="gives no bytes"):
        for_tensorrt(written(tmp_path / "b.onnx", move, output=TensorProto.UINT8))


@pytest.mark.parametrize(
    "model", ["face_detector", "face_embedder", "expression_classifier", "image_classifier"]
)
def test_the_networks_of_pictures_are_taken(model: str) -> None:
    file = REPOSITORY / model / "1" / "model.onnx"
    if not file.is_file():
        pytest.skip("not exported here")
    found = for_tensorrt(file)
    assert found is not None
    assert only_cast(found)
    side = {"face_detector": 64, "face_embedder": 112}.get(model, 224)
    chance = np.random.default_rng(0)
    feed = {"image": chance.integers(0, 256, (1, side, side, 3), dtype=np.uint8)}
    for one, other in zip(answers(found, feed), answers(file.read_bytes(), feed), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_prelu_that_was_split_is_one_again(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 4, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, 4, 5])
    slope = helper.make_tensor("slope", TensorProto.FLOAT, [3, 1, 1], [0.25, -1.0, 2.0])
    nodes = [
        helper.make_node("PRelu", ["x", "slope"], ["bent"]),
        helper.make_node("Relu", ["bent"], ["flat"]),
        helper.make_node("Add", ["bent", "flat"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "bent", [x], [y], [slope]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    given = {"x": np.random.default_rng(0).standard_normal((2, 3, 4, 5), dtype=np.float32)}
    (before,) = answers(model.SerializeToString(), given)
    onnx.save(model, str(file))
    assert for_tensorrt(file) is None  # nothing was split
    split_prelu(model)
    assert "PRelu" not in {node.op_type for node in model.graph.node}
    onnx.save(model, str(file))
    joined = for_tensorrt(file)
    assert joined is not None
    found = onnx.load_from_string(joined)
    onnx.checker.check_model(found, full_check=True)
    assert [node.op_type for node in found.graph.node] == ["PRelu", "Relu", "Add"]
    assert len(found.graph.initializer) == 1
    np.testing.assert_allclose(answers(joined, given)[0], before, rtol=1e-6)


def test_the_face_embedders_prelus() -> None:
    file = REPOSITORY / "face_embedder" / "1" / "model.onnx"
    if not file.is_file():
        pytest.skip("not exported here")
    joined = for_tensorrt(file)
    assert joined is not None
    before = [node.op_type for node in onnx.load(str(file)).graph.node]
    after = [node.op_type for node in onnx.load_from_string(joined).graph.node]
    assert "PRelu" not in before
    assert "BatchNormalization" not in after
    assert after.count("PRelu") == before.count("Relu")
