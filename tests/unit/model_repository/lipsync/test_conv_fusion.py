"""Convolutions take in what follows them: found where it can be, with the right inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from engines.conv_fusion import CONV_ADD_RELU, CONV_RELU, fused_nodes
from engines.onnx_torch import TorchGraph
from torch.nn import functional

HEAD = "g (float[1,4,6,6] input, float[4,4,3,3] w0, float[4] w1, float[4,4,3,3] w2)"
PAD = "<pads = [1, 1, 1, 1]>"


def graph(body: str, head: str = HEAD, result: str = "float[1,4,6,6] output") -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["": 13]> {head} => ({result}) {{ {body} }}'
    return onnx.parser.parse_model(text)


FUSED = {
    "a ReLU": (f"a = Conv{PAD}(input, w0, w1) output = Relu(a)", [CONV_RELU]),
    "no bias": (f"a = Conv{PAD}(input, w0) output = Relu(a)", [CONV_RELU]),
    "strides and dilations": (
        "a = Conv<pads = [2, 2, 2, 2], strides = [2, 1], dilations = [2, 2]>(input, w0, w1)"
        " output = Relu(a)",
        [CONV_RELU],
    ),
    "a sum": (f"a = Conv{PAD}(input, w0, w1) b = Add(a, input) output = Relu(b)", [CONV_ADD_RELU]),
    "a sum the other way round": (
        f"a = Conv{PAD}(input, w0) b = Add(input, a) output = Relu(b)",
        [CONV_ADD_RELU],
    ),
    "a sum of two, of which one takes the other in": (
        f"a = Conv{PAD}(input, w0, w1) b = Conv{PAD}(input, w2) c = Add(a, b) output = Relu(c)",
        ["Conv", CONV_ADD_RELU],
    ),
    "a sum with what was fused itself": (
        f"a = Conv{PAD}(input, w0, w1) b = Relu(a) c = Conv{PAD}(b, w2) d = Add(b, c)"
        " output = Relu(d)",
        [CONV_RELU, CONV_ADD_RELU],
    ),
}
KEPT = {
    "somebody else uses it": f"a = Conv{PAD}(input, w0) b = Relu(a) output = Add(a, b)",
    "somebody else uses the sum": f"a = Conv{PAD}(input, w0) b = Add(a, input) c = Relu(b)"
    " output = Add(b, c)",
    "nothing follows": f"a = Conv{PAD}(input, w0) output = Sigmoid(a)",
    "it pads unevenly": "a = Conv<pads = [0, 0, 2, 2]>(input, w0) output = Relu(a)",
    "a sum that repeats its part": f"a = Conv{PAD}(input, w0) m = Sigmoid(w1)"
    " b = Add(a, m) output = Relu(b)",
}


@pytest.fixture
def cudnn() -> Iterator[Counter[str]]:
    """PyTorch's operators of cuDNN, computed by others on the CPU; how often each was called."""
    calls: Counter[str] = Counter()
    library = torch.library.Library("aten", "IMPL")

    def relu(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:  # fmt: skip  # noqa: E501
        calls[CONV_RELU] += 1
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups).relu()

    def add_relu(x: Any, weight: Any, z: Any, alpha: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:  # fmt: skip  # noqa: E501
        calls[CONV_ADD_RELU] += 1
        made = functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
        assert made.shape == z.shape, "cuDNN does not repeat what is added"
        return (made + alpha * z).relu()

    library.impl("cudnn_convolution_relu", relu, "CPU")
    library.impl("cudnn_convolution_add_relu", add_relu, "CPU")
    yield calls
    library._destroy()


def answers(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray, TorchGraph]:
    """ONNX Runtime's, that of fused nodes, and these."""
    random = np.random.default_rng(0)
    feeds = {
        value.name: random.standard_normal(
            [dim.dim_value for dim in value.type.tensor_type.shape.dim], dtype=np.float32
        )
        for value in model.graph.input
    }
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, feeds)
    tensors = {name: torch.from_numpy(value) for name, value in feeds.items()}
    call = TorchGraph(model.SerializeToString(), fuse=True)
    found = call(tensors, tensors["input"], torch.empty(0))
    return expected, found.numpy(), call


@pytest.mark.parametrize("what", FUSED)
def test_what_is_fused_computes_the_same(what: str, cudnn: Counter[str]) -> None:
    body, expected_types = FUSED[what]
    sizes = {"strides and dilations": "float[1,4,3,6] output"}
    model = graph(body, result=sizes.get(what, "float[1,4,6,6] output"))
    assert [node.op_type for node in fused_nodes(model)] == expected_types
    expected, found, call = answers(model)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert cudnn.total() == call.fused == sum(kind != "Conv" for kind in expected_types)


@pytest.mark.parametrize("what", KEPT)
def test_what_cannot_be_fused_stays_as_it_is(what: str, cudnn: Counter[str]) -> None:
    head = HEAD.replace("float[4] w1", "float[6] w1")
    model = graph(KEPT[what], head)
    assert fused_nodes(model) == list(model.graph.node)
    expected, found, call = answers(model)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert cudnn.total() == call.fused == 0


def test_grouped_convolutions_stay() -> None:
    head = HEAD.replace("float[4,4,3,3] w0", "float[4,1,3,3] w0")
    model = graph("a = Conv<pads = [1, 1, 1, 1], group = 4>(input, w0) output = Relu(a)", head)
    assert [node.op_type for node in fused_nodes(model)] == ["Conv", "Relu"]


def test_the_documented_network(half_blob: Any) -> None:
    before = Counter(n.op_type for n in onnx.load_from_string(half_blob.skeleton).graph.node)
    after = Counter(n.op_type for n in fused_nodes(onnx.load_from_string(half_blob.skeleton)))
    assert before["Conv"] == 93
    assert after[CONV_RELU] == 32, "30 of the 62 with a ReLU are depthwise"
    assert after["Conv"] == 93 - 32
    assert after["Relu"] == 62 - 32
    assert after["Add"] == before["Add"]


def test_the_operators_of_this_torch_have_the_arguments_that_are_given() -> None:
    for name, arguments in (
        ("cudnn_convolution_relu", "self weight bias stride padding dilation groups"),
        ("cudnn_convolution_add_relu", "self weight z alpha bias stride padding dilation groups"),
    ):
        schema = getattr(torch.ops.aten, name).default._schema
        assert [one.name for one in schema.arguments] == arguments.split()
