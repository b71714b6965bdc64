"""The import: whatever way a network was exported, it answers as its own file does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from engines.cpu import CpuEngine
from frames.pixels import Mask
from lipsync_errors import RefusedError, UnsuitableTenantError
from onnx import numpy_helper
from tenants.blob import OpenBlob, read_manifest
from tenants.golden import MAX_DIFFERENCE, max_difference, psnr
from tenants.graph import part, remove_zero_pads
from tenants.importing import import_tenant
from tenants.layout import BLOCKED, HALF

from tests.support.lipsync_tenants import NARROW, Plain, audio, frames, write_tenant


def network(**options: Any) -> Any:
    """A network with normalisation statistics of somebody who trained."""
    import torch

    from export.lipsync.architecture import LipNetwork

    torch.manual_seed(3)
    made = LipNetwork(NARROW, **options)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return made.eval()


VARIANTS = {
    "folded": ({}, {}),
    "one frame": ({}, {"static_batch": True}),
    "normalisation folded by the exporter": ({"folded": False}, {}),
    "normalisation left in": ({"folded": False}, {"folding": False}),
    "padded when it runs": ({"padded": True}, {}),
    "padded, with normalisation": ({"padded": True, "folded": False}, {"folding": False}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_to_export_gives_the_plain_sessions_answer(variant: str, tmp_path: Path) -> None:
    from export.lipsync.demo import to_onnx

    built, exported = VARIANTS[variant]
    file = tmp_path / "tenant.onnx"
    file.write_bytes(to_onnx(network(**built), **exported))
    manifest = import_tenant(file, tmp_path / "import", BLOCKED)
    assert manifest.quality["max_difference"] <= MAX_DIFFERENCE
    blob = OpenBlob(tmp_path / "import", manifest)
    types = {node.op_type for node in onnx.load_model_from_string(blob.skeleton).graph.node}
    assert not types & {"Pad", "Shape", "Gather", "BatchNormalization", "Identity"}
    engine = CpuEngine(1, Mask(5, 5, 310, 305))
    weights, mouths = engine.load(blob), np.empty((1, 3, 320, 320), np.float32)
    given, sound = frames(1, seed=9), audio(seed=9)
    engine.run(0, weights, given, sound, mouths)
    assert np.abs(mouths - Plain(file)(given, sound)).max() <= MAX_DIFFERENCE
    assert mouths.std() > 1e-3  # it says something


def test_tenants_of_one_network_share_a_graph_whatever_their_names_and_sharing(
    tenant: Path, tmp_path: Path
) -> None:
    other = write_tenant(tmp_path, "other", seed=2)
    model = onnx.load(str(other))
    names = {tensor.name: f"x{number}" for number, tensor in enumerate(model.graph.initializer)}
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for number, node in enumerate(model.graph.node):
        node.name = f"other{number}"
        for slot, name in enumerate(node.input):
            node.input[slot] = names.get(name, name)
    model.graph.initializer.sort(key=lambda tensor: tensor.name)
    model.producer_name = "somebody else"
    other.write_bytes(model.SerializeToString())
    wider = write_tenant(tmp_path, "wider", seed=2, width=0.25)
    graphs = [
        import_tenant(file, tmp_path / file.stem, BLOCKED).graph for file in (tenant, other, wider)
    ]
    assert graphs[0] == graphs[1]
    assert graphs[0] != graphs[2]


def test_equal_weights_that_an_exporter_shares_are_two_weights_again() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[1,4,2,2] x) => (float[1,4,2,2] y)'
        "<float[4,1,1] a = {1,2,3,4}> { t = Mul(x, a) y = Add(t, a) }"
    )
    parted = part(model)
    assert [weight.name for weight in parted.weights] == ["w0", "w1"]
    assert [list(node.input) for node in parted.skeleton.graph.node] == [
        ["x", "w0"],
        ["v0_0", "w1"],
    ]


def test_the_hash_knows_attributes_and_constants_but_not_weights() -> None:
    def graph(alpha: float, size: int, weight: float) -> str:
        text = (
            '<ir_version: 8, opset_import: ["": 13]> g (float[1,4,2,2] x) => (float[n,m,h,w] y)'
            f"<int64[4] s = {{1,4,{size},2}}, float[4,1,1] a = {{{weight},2,3,4}}>"
            f"{{ t = Mul(x, a) u = LeakyRelu<alpha = {alpha}>(t) y = Reshape(u, s) }}"
        )
        return part(onnx.parser.parse_model(text)).graph

    assert graph(0.5, 2, 1.0) == graph(0.5, 2, 9.0)
    assert graph(0.5, 2, 1.0) != graph(0.25, 2, 1.0)
    assert graph(0.5, 2, 1.0) != graph(0.5, 1, 1.0)


def test_only_pads_of_nothing_are_removed() -> None:
    text = (
        '<ir_version: 8, opset_import: ["": 13]> g (float[1,4,2,2] x) => (float[1,4,3,2] y)'
        "<int64[8] none = {0,0,0,0,0,0,0,0}, int64[8] some = {0,0,1,0,0,0,0,0}>"
        "{ t = Pad(x, none) u = Pad(t, some) y = Relu(u) }"
    )
    model = onnx.parser.parse_model(text)
    assert remove_zero_pads(model) == 1
    assert [(node.op_type, node.input[0]) for node in model.graph.node] == [
        ("Pad", "x"),
        ("Relu", "u"),
    ]


def test_half_precision_is_imported_when_it_is_good_enough(tenant: Path, tmp_path: Path) -> None:
    manifest = import_tenant(tenant, tmp_path, HALF)
    assert manifest.quality["psnr_db"] >= 50
    assert OpenBlob(tmp_path, manifest).flat().dtype == np.float16


def test_weights_that_need_full_precision_are_unsuitable_for_half(
    tenant: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(tenant))
    for tensor in model.graph.initializer:
        if tensor.name.startswith("head") and tensor.name.endswith("weight"):
            values = numpy_helper.to_array(tensor) * 3000  # rounding errors of what comes before
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    file = tmp_path / "steep.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UnsuitableTenantError, match="tenant_unsuitable: half precision keeps"):
        import_tenant(file, tmp_path / "half", HALF)
    assert import_tenant(file, tmp_path / "blocked", BLOCKED)


def test_a_network_that_gives_no_numbers_is_refused(tenant: Path, tmp_path: Path) -> None:
    model = onnx.load(str(tenant))
    (tensor,) = [one for one in model.graph.initializer if one.name == "head.bias"]
    tensor.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), tensor.name))
    file = tmp_path / "nan.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(RefusedError, match=r"tenant_contract: .*not finite"):
        import_tenant(file, tmp_path / "import", BLOCKED)
    assert read_manifest(tmp_path / "import", BLOCKED) is None


def test_figures_of_the_golden_frame() -> None:
    one, two = np.zeros((1, 2)), np.full((1, 2), 0.1)
    assert max_difference(one, two) == pytest.approx(0.1)
    assert max_difference(one, two[:, :1]) == np.inf
    assert max_difference(one, two * np.nan) == np.inf
    assert psnr(one, two) == pytest.approx(20)
    assert psnr(one, one) == np.inf
    assert psnr(one, two * np.nan) == -np.inf
