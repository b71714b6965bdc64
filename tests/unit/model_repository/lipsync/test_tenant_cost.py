"""What a network would cost is known before it runs; what cannot be known is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from lipsync_errors import RefusedError
from tenants import cost as tenant_cost
from tenants.contract import fix_batch, read_model
from tenants.cost import frame_cost

from tests.support.cpu_time import spent
from tests.support.lipsync_tenants import write_tenant
from tests.support.tenant_graphs import Node, branch, loop, network, sizes_from_the_frame


def chained(count: int) -> onnx.ModelProto:
    nodes: list[Node] = [("Relu", ["input"], ["x0"], {})]
    nodes += [("Relu", [f"x{n}"], [f"x{n + 1}"], {}) for n in range(count)]
    return network(nodes)


def grown(factor: int) -> onnx.ModelProto:
    return network([("Tile", ["input", "times"], ["x"], {})], times=[1, factor, 8, 8])


HOSTILE: dict[str, Callable[[], onnx.ModelProto]] = {
    "loop": loop,
    "branch": branch,
    "nonzero": lambda: network([("NonZero", ["input"], ["x"], {})]),
    "zeros as the frame says": lambda: sizes_from_the_frame(
        [("ConstantOfShape", ["n"], ["x"], {})]
    ),
    "range as the frame says": lambda: sizes_from_the_frame(
        [
            ("Squeeze", ["n"], ["limit"], {}),
            ("Range", ["start", "limit", "step"], ["x"], {}),
        ],
        start=np.array(0),
        step=np.array(1),
    ),
    "expand as the frame says": lambda: sizes_from_the_frame(
        [("Expand", ["unit", "n"], ["x"], {})], unit=np.zeros(1, np.float32)
    ),
    "tile as the frame says": lambda: sizes_from_the_frame([("Tile", ["one", "n"], ["x"], {})]),
    "pad as the frame says": lambda: sizes_from_the_frame(
        [("Concat", ["n", "n"], ["pads"], {"axis": 0}), ("Pad", ["unit", "pads"], ["x"], {})],
        unit=np.zeros(1, np.float32),
    ),
    "resize as the frame says": lambda: sizes_from_the_frame(
        [
            ("Concat", ["two", "n", "n"], ["size"], {"axis": 0}),
            ("Resize", ["input", "", "", "size"], ["x"], {}),
        ],
        two=[1, 6],
    ),
    "range of constants": lambda: network(
        [("Range", ["start", "limit", "step"], ["x"], {})],
        start=np.array(0),
        limit=np.array(10**12),
        step=np.array(1),
    ),
    "zeros of constants": lambda: network(
        [("ConstantOfShape", ["size"], ["x"], {})], size=[2**20, 2**20]
    ),
    "sizes multiplied until they overflow": lambda: network(
        [
            ("Mul", ["size", "size"], ["squared"], {}),
            ("Mul", ["squared", "squared"], ["fourth"], {}),
            ("ConstantOfShape", ["fourth"], ["x"], {}),
        ],
        size=[2**15, 2**15],
    ),
    "tiled": lambda: grown(64),
    "deep": lambda: chained(2500),
    "many nodes": lambda: chained(20_000),
    "a kernel as large as the frame": lambda: network(
        [("Conv", ["input", "w"], ["x"], {"pads": [160, 160, 160, 160]})],
        w=np.zeros((8, 6, 320, 320), np.float32),
    ),
    "a pool as large as the frame": lambda: network(
        [
            (
                "MaxPool",
                ["input"],
                ["x"],
                {"kernel_shape": [319, 319], "pads": [159, 159, 159, 159], "strides": [1, 1]},
            ),
        ]
    ),
    "a product of pictures": lambda: network(
        [
            ("Reshape", ["input", "row"], ["rows"], {}),
            ("Transpose", ["rows"], ["columns"], {}),
            ("MatMul", ["rows", "columns"], ["x"], {}),
        ],
        row=[614400, 1],
    ),
    "text": lambda: network([("StringNormalizer", ["words"], ["x"], {})], words=np.array([1])),
    "a sequence": lambda: network([("SequenceConstruct", ["input"], ["x"], {})]),
    "random": lambda: network([("RandomNormalLike", ["input"], ["x"], {})]),
    "a recurrent network": lambda: network(
        [("GRU", ["s", "w", "r"], ["y"], {"hidden_size": 1})],
        s=np.zeros((9, 1, 1), np.float32),
        w=np.zeros((1, 3, 1), np.float32),
        r=np.zeros((1, 3, 1), np.float32),
    ),
    "made of itself": lambda: network([("Relu", ["y"], ["x"], {}), ("Relu", ["x"], ["y"], {})]),
    "made by nobody": lambda: network([("Relu", ["nobody"], ["x"], {})]),
    "made twice": lambda: network([("Relu", ["input"], ["x"], {}), ("Relu", ["audio"], ["x"], {})]),
    "shapes that do not fit": lambda: network([("MatMul", ["input", "audio"], ["x"], {})]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_graphs_are_refused_before_they_run(name: str) -> None:
    model = HOSTILE[name]()
    with spent() as seconds, pytest.raises(RefusedError) as caught:
        frame_cost(model)
    assert caught.value.code == "tenant_contract"
    assert len(caught.value.reason) < 200
    assert seconds[0] < 10, "it is worked out, not run"


def test_sparse_tensors_and_hidden_graphs_are_refused() -> None:
    model = network([])
    model.graph.sparse_initializer.add().dims.extend([2**40])
    with pytest.raises(RefusedError, match="sparse"):
        frame_cost(model)
    model = network([("Relu", ["input"], ["x"], {})])
    model.graph.node[0].attribute.add(name="hidden").graphs.add()
    with pytest.raises(RefusedError, match=r"not known|not supported"):
        frame_cost(model)


def test_a_real_network_costs_what_its_layers_say(tenant: Path, tmp_path: Path) -> None:
    costs = []
    for file in (tenant, write_tenant(tmp_path, "wide", seed=1, width=0.25)):
        model, _ = read_model(file)
        fix_batch(model)
        costs.append(frame_cost(model))
    narrow, wide = costs
    assert 2 * 320 * 320 * 4 * 4 < narrow.live_bytes < narrow.total_bytes
    assert 2.5 < wide.operations / narrow.operations < 4  # channels in times channels out
    assert wide.operations < tenant_cost.MAX_OPERATIONS / 20


def test_one_convolution_is_counted_exactly() -> None:
    model = network(
        [("Conv", ["input", "w"], ["x"], {"pads": [1, 1, 1, 1]})],
        w=np.zeros((8, 6, 3, 3), np.float32),
    )
    rest = frame_cost(network([]))
    cost = frame_cost(model)
    assert cost.operations - rest.operations == 320 * 320 * 8 * 6 * 9
    assert cost.total_bytes - rest.total_bytes == 320 * 320 * 8 * 4


def test_sizes_that_exporters_compute_are_followed() -> None:
    nodes: list[Node] = [
        ("Shape", ["input"], ["shape"], {}),
        ("Gather", ["shape", "three"], ["width"], {}),
        ("Div", ["width", "two"], ["half"], {}),
        ("Concat", ["ones", "half"], ["target"], {"axis": 0}),
        ("ConstantOfShape", ["target"], ["x"], {}),
    ]
    cost = frame_cost(network(nodes, three=[3], two=[2], ones=[1, 4]))
    rest = frame_cost(network([]))
    assert cost.total_bytes - rest.total_bytes == 4 * 8 + 8 + 8 + 3 * 8 + 4 * 160 * 4
