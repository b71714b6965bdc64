"""The Python-based tensorrt backend, with stand-ins for the card and for TensorRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.support.gpu_runtimes import Cudart, Trt, plan_of

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8
SHAPES = {"image": [[1, 2, 3], [2, 4, 3], [4, 8, 3]], "scale": [[1, 1], [2, 1], [4, 1]]}


def graph(kind: int = FLOAT) -> bytes:
    """`mean` FP32 [batch, 3] of UINT8 pixels times a factor, and `sizes` INT64 [3]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["raw"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["raw", "scale"], ["mean"]),
        helper.make_node("Shape", ["image"], ["sizes"]),
    ]
    inputs = [
        helper.make_tensor_value_info("image", UINT8, ["batch", "rows", 3]),
        helper.make_tensor_value_info("scale", FLOAT, ["batch", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("mean", FLOAT, ["batch", 3]),
        helper.make_tensor_value_info("sizes", TensorProto.INT64, [3]),
    ]
    body = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Cudart:
    """A card, TensorRT on it, and both importable by name."""
    import trt_cuda
    import trt_engine

    cudart = Cudart()
    trt = Trt(cudart)

    def imported(name: str) -> Any:
        return {"cuda.bindings.runtime": cudart, "tensorrt": trt}[name]

    monkeypatch.setattr(trt_cuda, "import_module", imported)
    monkeypatch.setattr(trt_engine, "import_module", imported)
    return cudart


def load(tmp_path: Path, plan: bytes, placement: Any = None, **config: Any) -> Any:
    from pentad_backend.placement import Placement
    from trt_engine import TrtEngine

    (tmp_path / "model.plan").write_bytes(plan)
    given = {"name": "m", "max_batch_size": 4, **config}
    return TrtEngine.load(given, tmp_path / "model.plan", placement or Placement("GPU"))


def feed(batch: int, rows: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "image": random.integers(0, 255, (batch, rows, 3), np.uint8),
        "scale": random.random((batch, 1), np.float32),
    }


def expected(given: dict[str, Any]) -> Any:
    return given["image"].astype(np.float32).mean(1) * given["scale"]


def test_a_plan_answers_every_shape_of_its_profile(tmp_path: Path, card: Cudart) -> None:
    engine = load(tmp_path, plan_of(graph(), [SHAPES]))
    assert (engine.computed.provider, engine.computed.device) == ("tensorrt", "cuda:0")
    assert engine.inputs["image"].shape == (-1, -1, 3)
    assert engine.inputs["image"].data_type == "TYPE_UINT8"
    assert engine.outputs["sizes"].data_type == "TYPE_INT64"
    for seed, (batch, rows) in enumerate([(1, 2), (4, 8), (2, 5), (4, 8), (1, 2)]):
        given = feed(batch, rows, seed)
        sizes, mean = engine.run(given, ["sizes", "mean"])
        np.testing.assert_allclose(mean, expected(given), rtol=1e-5)
        assert sizes.tolist() == [batch, rows, 3]


def test_inputs_that_are_not_contiguous_arrive_whole(tmp_path: Path, card: Cudart) -> None:
    engine = load(tmp_path, plan_of(graph(), [SHAPES]))
    given = feed(4, 8)
    turned = {**given, "image": given["image"][:, ::-1]}
    (mean,) = engine.run(turned, ["mean"])
    np.testing.assert_allclose(mean, expected(given), rtol=1e-5)


def test_memory_does_not_grow_with_the_calls(tmp_path: Path, card: Cudart) -> None:
    engine = load(tmp_path, plan_of(graph(), [SHAPES]))
    engine.run(feed(4, 8), ["mean"])
    blocks = set(card.blocks)
    for seed in range(5):
        engine.run(feed(1 + seed % 4, 2 + seed, seed), ["mean"])
    assert set(card.blocks) == blocks


def test_buffers_that_grow_give_the_old_ones_back(card: Cudart) -> None:
    from trt_cuda import Buffer, Cuda

    buffer = Buffer(Cuda(0))
    for size in (1, 70_000, 70_001, 1_000_000):
        buffer.reserve(size)
        assert len(buffer.host(size)) == size
        assert sorted(len(block) for block in card.blocks.values())[0] >= size
        assert len(card.blocks) == 2


@pytest.mark.parametrize(
    ("batch", "rows", "message"),
    [(5, 4, "dimension 0 to be between 1 and 4 but received 5"), (1, 9, "dimension 1 .* 2 and 8"),
     (1, 1, "dimension 1 .* received 1")],
)  # fmt: skip
def test_shapes_outside_of_the_profile_are_the_requests_fault(
    tmp_path: Path, card: Cudart, batch: int, rows: int, message: str
) -> None:
    from pentad_backend.tensors import RequestError

    engine = load(tmp_path, plan_of(graph(), [SHAPES]))
    with pytest.raises(RequestError, match=message):
        engine.run(feed(batch, rows), ["mean"])
    given = feed(2, 4)
    np.testing.assert_allclose(engine.run(given, ["mean"])[0], expected(given), rtol=1e-5)


def test_the_instance_groups_profile_is_used(tmp_path: Path, card: Cudart) -> None:
    from pentad_backend.placement import Placement
    from pentad_backend.tensors import LoadError, RequestError

    small = {name: [shapes[0]] * 2 + [[2, *shapes[2][1:]]] for name, shapes in SHAPES.items()}
    plan = plan_of(graph(), [SHAPES, small])
    groups = [{"name": "m_1", "profile": ["0"]}, {"name": "m_10", "profile": ["1"]}]
    engine = load(
        tmp_path, plan, Placement("GPU", 0, "m_10_0"), instance_group=groups, max_batch_size=2
    )
    with pytest.raises(RequestError, match="between 1 and 2 but received 3"):
        engine.run(feed(3, 4), ["mean"])
    for profile in (["2"], ["one"], ["0", "1"]):
        with pytest.raises(LoadError, match="profile"):
            load(
                tmp_path,
                plan,
                Placement("GPU", 0, "m_0_0"),
                instance_group=[{"name": "m_0", "profile": profile}],
            )


def test_the_device_is_the_one_that_triton_names(tmp_path: Path, card: Cudart) -> None:
    from pentad_backend.placement import Placement
    from pentad_backend.tensors import LoadError

    card.devices = 2
    plan = plan_of(graph(), [SHAPES])
    engine = load(tmp_path, plan, Placement("GPU", 1))
    assert engine.computed.device == "cuda:1"
    card.device = 0
    engine.run(feed(1, 2), ["mean"])
    assert card.device == 1
    with pytest.raises(LoadError, match="no GPU 2: CUDA sees 2"):
        load(tmp_path, plan, Placement("GPU", 2))


def test_what_cannot_be_served_is_refused(tmp_path: Path, card: Cudart) -> None:
    from pentad_backend.placement import Placement
    from pentad_backend.tensors import LoadError

    plan = plan_of(graph(), [SHAPES])
    with pytest.raises(LoadError, match="TensorRT backend supports only GPU device"):
        load(tmp_path, plan, Placement("CPU"))
    with pytest.raises(LoadError, match=r"max-batch 8 but .* only supports max-batch 4"):
        load(tmp_path, plan, max_batch_size=8)
    with pytest.raises(LoadError, match=r"TensorRT 10\.13\.3\.9 cannot read the plan"):
        load(tmp_path, plan_of(graph(), [SHAPES], version="10.16.1.11"))
    with pytest.raises(LoadError, match="cannot read the plan"):
        load(tmp_path, b"rubbish")


def test_without_a_driver_tensorrt_is_not_even_asked(tmp_path: Path, card: Cudart) -> None:
    """The real TensorRT 11 ends the process with a SIGSEGV there."""
    from pentad_backend.tensors import LoadError

    card.driver = False
    with pytest.raises(LoadError, match="CUDA cannot use GPU 0: CUDA driver version is insuff"):
        load(tmp_path, plan_of(graph(), [SHAPES]))


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trt_cuda
    import trt_engine
    from pentad_backend.tensors import LoadError

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(trt_cuda, "import_module", missing)
    with pytest.raises(LoadError, match="cuda-bindings"):
        load(tmp_path, b"")
    monkeypatch.setattr(trt_cuda, "import_module", lambda name: Cudart())
    monkeypatch.setattr(trt_engine, "import_module", missing)
    with pytest.raises(LoadError, match="need the package tensorrt"):
        load(tmp_path, b"")


def test_a_full_card_fails_the_request_and_no_more(tmp_path: Path, card: Cudart) -> None:
    from trt_cuda import CudaError

    engine = load(tmp_path, plan_of(graph(), [SHAPES]))
    card.limit = 0
    with pytest.raises(CudaError, match="out of memory"):
        engine.run(feed(1, 2), ["mean"])
    card.limit = 2**30
    given = feed(2, 4)
    np.testing.assert_allclose(engine.run(given, ["mean"])[0], expected(given), rtol=1e-5)
