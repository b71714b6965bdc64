"""Graphs that OpenVINO has compiled are kept, whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from launcher.layout import COMPILED, compiled_graphs

SIDE = 64


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A multiplication by a random matrix, in the place of a model's file."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    shape = (TensorProto.FLOAT, ["rows", SIDE])
    ports = [helper.make_tensor_value_info(name, *shape) for name in "XY"]
    weights = helper.make_tensor("W", TensorProto.FLOAT, matrix.shape, matrix.tobytes(), raw=True)
    node = helper.make_node("MatMul", ["X", "W"], ["Y"])
    model = helper.make_graph([node], "g", ports[:1], ports[1:], [weights])
    opset = [helper.make_opsetid("", 17)]
    file = tmp_path / "repository" / "double" / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    onnx.save(helper.make_model(model, opset_imports=opset, ir_version=8), file)
    return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = compiled_graphs(tmp_path / "state")
    monkeypatch.setenv(COMPILED, str(found))
    return found


def answer(file: Path) -> Any:
    from ov_engine import OvEngine
    from pentad_backend.placement import CPU_ONLY

    engine = OvEngine.load({"name": "double"}, file, CPU_ONLY)
    assert engine.inputs["X"].shape == (-1, SIDE)
    return np.array(engine.run({"X": np.eye(SIDE, dtype=np.float32)}, ["Y"])[0])


def blobs(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_ino for file in folder.rglob("*.blob")}


def test_a_graph_is_compiled_once(graph: Path, folder: Path) -> None:
    first = answer(graph)
    (kept,) = found = blobs(folder)
    np.testing.assert_array_equal(answer(graph), first)
    assert blobs(folder) == found
    assert [path.name for path in folder.iterdir()] == ["double"]
    assert kept.parent.parent == folder / "double"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_graph_that_changed_is_compiled_anew_and_the_old_one_goes(
    graph: Path, folder: Path
) -> None:
    answer(graph)
    (old,) = blobs(folder)
    os.utime(graph, (time.time(), time.time() + 5))
    answer(graph)
    (new,) = blobs(folder)
    assert new.parent != old.parent


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_what_is_damaged_is_compiled_anew(graph: Path, folder: Path, size: int) -> None:
    first = answer(graph)
    (kept,) = blobs(folder)
    whole = kept.stat().st_size
    assert kept.stat().st_mode & 0o777 == 0o600
    os.truncate(kept, size)
    np.testing.assert_array_equal(answer(graph), first)
    (kept,) = blobs(folder)
    # OpenVINO writes a few bytes more or less each time.
    assert abs(kept.stat().st_size - whole) < whole / 100


def test_no_place_is_no_error(
    graph: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = answer(graph)
    (tmp_path / "file").touch()
    monkeypatch.setenv(COMPILED, str(tmp_path / "file"))
    np.testing.assert_array_equal(answer(graph), first)
    monkeypatch.delenv(COMPILED)
    np.testing.assert_array_equal(answer(graph), first)


def test_what_a_killed_process_began_goes_at_the_next_start(tmp_path: Path) -> None:
    begun, whole = (compiled_graphs(tmp_path) / "m" / name for name in ("tmpabc", "0" * 64))
    for one in (begun, whole):
        one.mkdir(parents=True)
    compiled_graphs(tmp_path)
    assert whole.is_dir()
    assert not begun.exists()


def test_both_sides_name_the_same_variable() -> None:
    from ov_compiled import FOLDER

    assert FOLDER == COMPILED
