"""The GPU engine on CPU tensors: the graph in torch, packing, slots, tiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from engines.gpu import GpuEngine
from engines.gpu_slots import BATCHES, batch_for, to_channels_last, weight_views
from engines.onnx_torch import TorchGraph, UnknownOperatorError
from frames.pixels import Mask
from hypothesis import given
from hypothesis import strategies as st
from lipsync_errors import TenantMemoryError
from tenants.golden import psnr

from tests.support.lipsync_tenants import Plain, audio, frames

MASK = Mask(5, 5, 310, 305)


def graph(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 13]> {text}')


OPERATORS = {
    "Conv": "g (float[n,4,6,6] input, float[8,2,3,3] w0, float[8] w1) => (float[n,8,a,b] output)"
    "{ output = Conv<group = 2, strides = [2, 1], pads = [1, 0, 1, 0]>(input, w0, w1) }",
    "uneven pads": "g (float[n,4,6,6] input, float[8,4,3,3] w0) => (float[n,8,a,b] output)"
    "{ output = Conv<pads = [0, 1, 2, 1], dilations = [2, 1]>(input, w0) }",
    "Resize": "g (float[n,4,6,6] input) => (float[n,4,a,b] output) <float[4] s = {1, 1, 2, 3}>"
    '{ output = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">'
    "(input, , s) }",
    "Resize to half pixels": "g (float[n,4,6,6] input) => (float[n,4,a,b] output)"
    "<int64[4] s = {2, 4, 12, 9}>"
    '{ output = Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">'
    "(input, , , s) }",
    "Resize to the nearest": "g (float[n,4,6,6] input) => (float[n,4,a,b] output)"
    "<float[4] s = {1, 1, 2, 2}>"
    '{ output = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric",'
    ' nearest_mode = "floor">(input, , s) }',
    "the rest": "g (float[n,4,6,6] input, float[4,1,1] w0) => (float[n,8,6,6] output)"
    "<float one = {1.5}, float low = {-0.5}, float high = {0.9}>"
    "{ a = Mul(input, w0) b = LeakyRelu<alpha = 0.2>(a) c = Sub(one, b) d = Clip(c, low, high)"
    " e = Tanh(d) f = Sigmoid(e) h = Relu(a) i = Add(h, f) output = Concat<axis = 1>(i, a) }",
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_agree_with_onnx_runtime(name: str) -> None:
    model = graph(OPERATORS[name])
    random = np.random.default_rng(0)
    feeds = {
        value.name: random.standard_normal(
            [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim], dtype=np.float32
        )
        for value in model.graph.input
    }
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, feeds)
    tensors = {key: torch.from_numpy(value) for key, value in feeds.items()}
    call = TorchGraph(model.SerializeToString())
    got = call(
        {key: value for key, value in tensors.items() if key.startswith("w")},
        tensors["input"],
        torch.empty(0),
    )
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "g (float[n,4] input) => (float[n,4] output) { output = Softplus(input) }",
        "g (float[n,4,6,6] input, float[4] w0) => (float[n,4,a,b] output)"
        '{ output = Resize<mode = "cubic">(input, , w0) }',
    ],
)
def test_an_unknown_operator_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(UnknownOperatorError):
        TorchGraph(graph(text).SerializeToString())


def test_packing_for_channels_last_keeps_every_weight(half_blob: Any) -> None:
    placed = half_blob.manifest.weights
    assert any(weight.shape[1:] not in ((1, 3, 3),) and weight.shape[2:] == (3, 3)
               for weight in placed if len(weight.shape) == 4)  # fmt: skip
    views = weight_views(to_channels_last(half_blob.flat(), placed), placed)
    for name, array in half_blob.arrays().items():
        view = views[name]
        np.testing.assert_array_equal(view.numpy(), array)
        if view.dim() == 4:
            assert view.is_contiguous(memory_format=torch.channels_last)


@given(st.integers(1, 25))
def test_a_step_runs_in_the_smallest_batch_that_holds_it(count: int) -> None:
    size = batch_for(count)
    assert size >= count
    assert all(other < count for other in BATCHES if other < size)


@pytest.fixture(scope="module")
def engine() -> GpuEngine:
    return GpuEngine("cpu", 2, MASK, batches=(1, 2, 4, 6))


def run(
    engine: GpuEngine,
    weights: Any,
    given: np.ndarray,
    sound: np.ndarray,
    kind: Any,
    worker: int = 0,
) -> np.ndarray:
    mouths = np.empty((len(given), 3, 320, 320), kind)
    engine.run(worker, weights, given, sound, mouths)
    return mouths


def test_frames_of_every_kind_agree_with_the_plain_session(
    engine: GpuEngine, half_blob: Any, tenant: Any
) -> None:
    weights = engine.load(half_blob)
    plain = Plain(tenant)
    for count, channels in ((1, 6), (3, 3), (4, 6), (5, 6)):
        face, sound = frames(count, seed=count, channels=3), audio(count, seed=count)
        full = frames(count, seed=count)
        expected = plain(full, sound)
        got = run(engine, weights, full if channels == 6 else face, sound, np.float32)
        assert psnr(expected, got) >= 50
        as_bytes = run(engine, weights, full, sound, np.uint8)
        assert psnr(expected, as_bytes.astype(np.float32) / 255) >= 48
    sent = np.round(frames(2, seed=5) * 255).astype(np.uint8)
    one = audio(1, seed=6)
    expected = plain(sent.astype(np.float32) / 255, one)
    assert psnr(expected, run(engine, weights, sent, one, np.float16).astype(np.float32)) >= 50
    engine.free(weights)


def test_a_slot_copies_weights_only_when_the_tenant_changes(
    engine: GpuEngine, half_blob: Any
) -> None:
    one, two = engine.load(half_blob), engine.load(half_blob)
    given, sound = frames(1), audio()
    slots = one.graph.slots
    run(engine, one, given, sound, np.float32, worker=1)
    before = slots[1].switches
    for weights, switches in ((one, 0), (two, 1), (two, 1), (one, 2)):
        run(engine, weights, given, sound, np.float32, worker=1)
        assert slots[1].switches - before == switches
    assert one.graph is two.graph
    engine.free(one)
    engine.free(two)


def test_a_slot_does_not_take_a_new_tenant_for_a_freed_one(
    engine: GpuEngine, half_blob: Any
) -> None:
    given, sound = frames(1), audio()
    first = engine.load(half_blob)
    expected = run(engine, first, given, sound, np.float32)
    engine.free(first)
    second = engine.load(half_blob)
    np.testing.assert_array_equal(run(engine, second, given, sound, np.float32), expected)
    engine.free(second)


def test_a_tenant_larger_than_the_budget_is_refused(half_blob: Any) -> None:
    with pytest.raises(TenantMemoryError):
        GpuEngine("cpu", 1, MASK, budget=1000, batches=(1,)).load(half_blob)
