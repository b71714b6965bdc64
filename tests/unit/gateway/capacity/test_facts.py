"""The numbers that memory is planned with are those of the code and of the graphs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from gateway.capacity import facts
from gateway.model_config import parameters, read_config
from load_tests.lipsync import scale
from tests.support import frame_traffic
from tests.support.lipsync_tenants import write_tenant
from tests.support.live_memory import peak_bytes, tensor_bytes

ROOT = Path(__file__).resolve().parents[4]
IMAGES = {
    "face_detector": (640, 640),
    "face_embedder": (112, 112),
    "expression_classifier": (224, 224),
    "image_classifier": (224, 224),
}


def feed(model: str) -> dict[str, Any]:
    """One row of the largest size."""
    if model in IMAGES:
        return {"image": np.zeros((1, *IMAGES[model], 3), np.uint8)}
    if model == "audio_encoder":
        return {"mel": np.zeros((1, 1, 80, 16), np.float32)}
    shape = (1, facts.NETWORKS[model].size)
    return {name: np.ones(shape, np.int64) for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("model", facts.NETWORKS)
def test_activations_are_the_graphs(model: str) -> None:
    file = ROOT / "model_repository" / model / "1" / "model.onnx"
    if not file.is_file():
        pytest.skip(f"{model} was not exported")
    row = peak_bytes(onnx.load(str(file)).graph, tensor_bytes(file, feed(model)))
    assert row == pytest.approx(facts.NETWORKS[model].row, rel=0.01)
    assert file.stat().st_size == pytest.approx(facts.NETWORKS[model].weights, rel=0.01)


def test_lipsync_numbers(tmp_path: Path) -> None:
    file = write_tenant(tmp_path, "wide", 0, width=1.0)
    graph = onnx.load(str(file)).graph
    # As tenants/blob.py lays them out: FP16, each weight on a border of 64 bytes.
    weights = [2 * math.prod(one.dims) for one in graph.initializer]
    assert sum(-(-size // 64) * 64 for size in weights) == facts.TENANT_ON_GPU
    frame = {
        "input": np.zeros((1, 6, 320, 320), np.float32),
        "audio": np.zeros((1, 32, 16, 16), np.float32),
    }
    sizes = tensor_bytes(file, frame)
    assert peak_bytes(graph, sizes) == pytest.approx(facts.FRAME_ACTIVATIONS, rel=0.01)
    assert facts.SLOT > 25 * facts.FRAME_ACTIVATIONS / 2
    shapes = {one.name: one.dims for one in graph.initializer}
    products = sum(
        sizes[node.output[0]] / 4 * math.prod(shapes[node.input[1]][1:])
        for node in graph.node
        if node.op_type == "Conv"
    )
    page = (ROOT / "docs" / "operations" / "scale.md").read_text()
    assert f"for {2 * products / 1e9:.1f} GFLOP" in page


def test_what_a_frame_moves_is_counted(tmp_path: Path) -> None:
    file = write_tenant(tmp_path, "wide", 0, width=1.0)
    skeleton, shapes = frame_traffic.imported(file, tmp_path)
    separate, fused, least = scale.ENGINES
    for batch in (1, 25):
        found = frame_traffic.counted(skeleton, shapes, batch)
        weights = found.bytes.pop("weights")
        assert weights == pytest.approx(facts.TENANT_ON_GPU, rel=0.01)
        assert found.bytes.total() / batch == pytest.approx(separate.maps, rel=0.001)
        assert found.kernels.total() == separate.kernels
        assert separate.bytes_per_frame(batch) * batch == pytest.approx(
            found.bytes.total() + weights, rel=0.001
        )
    # A fused convolution writes its map once: not again for the bias, nor for the ReLU.
    count, maps = frame_traffic.dense_with_relu(skeleton)
    assert count == 32
    assert fused.maps == pytest.approx(separate.maps - 4 * maps, rel=0.001)
    assert fused.kernels == separate.kernels - 2 * count
    spared = found.bytes["bias"] + found.bytes["relu"]
    assert least.maps == pytest.approx(separate.maps - spared / 25, rel=0.001)
    assert least.kernels == separate.kernels - found.kernels["bias"] - found.kernels["relu"]


def test_what_the_lipsync_model_says_of_itself() -> None:
    folder = ROOT / "model_repository" / "lipsync" / "1"
    chooser, device = (folder / "engines/devices.py", folder / "memory/torch_device.py")
    (workers,) = re.findall(r"^GPU_WORKERS = (\d+)$", chooser.read_text(), re.M)
    (slot,) = re.findall(r"^    slot_bytes = (\d+) \* 10\*\*9$", device.read_text(), re.M)
    (kept,) = re.findall(r"^KEPT_FREE = ([\d.]+)$", device.read_text(), re.M)
    assert int(workers) == facts.GPU_SLOTS
    assert int(slot) * facts.GB == facts.SLOT
    assert float(kept) == facts.KEPT_FREE
    given = parameters(read_config(folder.parent / "config.pbtxt"))
    assert float(given["host_memory_gb"]) * 2**30 == facts.PINNED
    measured = (ROOT / "load_tests" / "RESULTS.md").read_text()
    assert f"resident | {facts.TENANT_ON_CPU / 1e6:.1f} MB" in measured


def test_large_cards_give_plans_more_workspace() -> None:
    assert [facts.plan_workspace(size * 2**30) for size in (8, 24, 80)] == [
        2**30,
        3 * 2**29,
        5 * 2**30,
    ]


def test_the_vlm_is_as_large_as_its_configuration_says() -> None:
    text = (ROOT / "model_repository" / "vlm" / "config.pbtxt").read_text()
    assert "18 GB of weights" in text.replace("\n  # ", " ")
    assert facts.VLM_WEIGHTS == 18 * facts.GB
