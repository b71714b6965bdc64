"""An exported graph has no weights that are too small to matter, and answers as with them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from export import face_network
from export.__main__ import main
from export.errors import ExportError
from export.flush import flush_graph
from export.tiny_weights import BOUND
from tests.support import face_networks
from tests.support.tiny_networks import WIDTH, products

ROWS = np.ones((2, WIDTH), np.float32)


def ones() -> Iterable[dict[str, Any]]:
    return [{"x": ROWS}]


def written(folder: Path, model: onnx.ModelProto) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "model.onnx"
    onnx.save(model, str(file))
    return file


def test_weights_that_do_not_matter_become_zero(tmp_path: Path) -> None:
    file = written(tmp_path, products([1e-25]))
    assert flush_graph(file, ones) == {
        "bound": BOUND,
        "zeroed": WIDTH,
        "denormal": 0,
        "max_difference": pytest.approx(1e-25, rel=1e-3),
    }
    (weights,) = onnx.load(str(file)).graph.initializer
    assert not numpy_helper.to_array(weights).any()


@pytest.mark.parametrize("gain", [1e25, 1e30])
def test_small_weights_that_matter_are_refused(tmp_path: Path, gain: float) -> None:
    file = written(tmp_path, products([1e-25, gain]))
    with pytest.raises(ExportError, match="outputs change by"):
        flush_graph(file, ones)


def test_a_graph_without_any_is_left_as_it_is(tmp_path: Path) -> None:
    file = written(tmp_path, products([0.5]))
    before = file.read_bytes(), file.stat().st_ino

    def never() -> Iterable[dict[str, Any]]:
        raise AssertionError("there is nothing to compare")

    assert flush_graph(file, never)["zeroed"] == 0
    assert (file.read_bytes(), file.stat().st_ino) == before


def test_weights_in_files_beside_the_graph_stay_beside_it(tmp_path: Path) -> None:
    """As graphs beyond protobuf's 2 GiB have them, one file for each tensor."""
    file = tmp_path / "model.onnx"
    onnx.save_model(
        products([1e-40, 2.0]),
        str(file),
        save_as_external_data=True,
        all_tensors_to_one_file=False,
    )
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "w0", "w1"}
    assert flush_graph(file, ones)["zeroed"] == WIDTH
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    assert file.stat().st_size < 4 * WIDTH
    weights = [numpy_helper.to_array(item) for item in onnx.load(str(file)).graph.initializer]
    assert [values.max() for values in weights] == [0, 2]


def seconds(sessions: list[onnxruntime.InferenceSession], rounds: int = 40) -> list[float]:
    """Shortest time of each for small activations, measured in turns."""
    best = [float("inf")] * len(sessions)
    rows = np.full((32, WIDTH), 1e-20, np.float32)
    for _ in range(rounds):
        for place, session in enumerate(sessions):
            start = time.perf_counter()
            for _ in range(5):
                session.run(None, {"x": rows})
            best[place] = min(best[place], time.perf_counter() - start)
    return best


def test_a_network_is_as_quick_as_if_it_never_had_any(tmp_path: Path) -> None:
    """Not flushed, each of its products is a denormal, which any processor takes longer for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    files = [
        written(tmp_path / name, products([weight]))
        for name, weight in (("tiny", 1e-20), ("plain", 0.5))
    ]
    assert flush_graph(files[0], ones)["zeroed"] == WIDTH
    sessions = [
        onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        for file in files
    ]
    flushed, plain = seconds(sessions)
    assert flushed < 1.25 * plain


def test_the_command_counts_them_and_the_declaration_keeps_the_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = face_networks.embedder(tmp_path / "w600k_r50.onnx")
    model = onnx.load(str(network))
    kernel = next(item for item in model.graph.initializer if len(item.dims) == 4)
    weights = numpy_helper.to_array(kernel).copy()
    weights[0] = 1e-25
    weights[1] = 1e-40
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    onnx.save(model, str(network))
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path / "repository"))
    (tmp_path / "repository").mkdir()
    assert main([face_network.EMBEDDER, "--weights", str(network)]) == 0
    count = weights[0].size
    message = f"face_embedder: {2 * count:,} weights below 1e-19 set to zero, {count:,} of them"
    assert message in capsys.readouterr().err
    folder = tmp_path / "repository" / face_network.EMBEDDER / "1"
    facts = json.loads((folder / "metadata.json").read_text())["tiny_weights"]
    assert (facts["zeroed"], facts["denormal"]) == (2 * count, count)
    assert facts["max_difference"] < 1e-6
    for item in onnx.load(str(folder / face_network.GRAPH)).graph.initializer:
        sizes = np.abs(numpy_helper.to_array(item).astype(np.float64))
        assert sizes.size < 2 or not ((sizes > 0) & (sizes < BOUND)).any()
