"""TensorRT takes bytes only where they are cast at once; the answers stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.errors import ExportError
from export.tensorrt.pictures import cast_first
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
    found = cast_first(file)
    assert found is not None
    onnx.checker.check_model(onnx.load_from_string(found))
    assert only_cast(found)
    assert not only_cast(file.read_bytes())
    feed = {"image": np.arange(120, dtype=np.uint8).reshape(2, 4, 5, 3) * 2}
    np.testing.assert_array_equal(answers(found, feed), answers(file.read_bytes(), feed))


def test_other_graphs_are_left(tmp_path: Path) -> None:
    assert cast_first(write_model(tmp_path) / "model.onnx") is None


def test_bytes_that_are_computed_with_are_refused(tmp_path: Path) -> None:
    pool = helper.make_node("MaxPool", ["image"], ["y"], kernel_shape=[1, 1])
    with pytest.raises(ExportError, match="MaxPool uses them"):
        cast_first(written(tmp_path / "a.onnx", pool))
    move = helper.make_node("Transpose", ["image"], ["y"], perm=[0, 3, 1, 2])
    with pytest.raises(ExportError, match="gives no bytes"):
        cast_first(written(tmp_path / "b.onnx", move, output=TensorProto.UINT8))


@pytest.mark.parametrize("model", ["face_detector", "face_embedder", "expression_classifier"])
def test_the_face_networks_are_taken(model: str) -> None:
    file = REPOSITORY / model / "1" / "model.onnx"
    if not file.is_file():
        pytest.skip("not exported here")
    found = cast_first(file)
    assert found is not None
    assert only_cast(found)
    side = {"face_detector": 64, "face_embedder": 112}.get(model, 224)
    chance = np.random.default_rng(0)
    feed = {"image": chance.integers(0, 256, (1, side, side, 3), dtype=np.uint8)}
    for one, other in zip(answers(found, feed), answers(file.read_bytes(), feed), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
