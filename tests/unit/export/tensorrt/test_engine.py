"""How TensorRT is asked: against a double with the names of its 10.13 Python bindings.

The double says nothing of whether a GPU would do it.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from export.errors import ExportError
from export.tensorrt import engine as module
from gateway.plans.declared import declared
from tests.support.plan_models import MODEL, write_model


class Flags:
    FP16, BF16, TF32 = "FP16", "BF16", "TF32"


class Config:
    def __init__(self) -> None:
        self.flags = {Flags.TF32}  # on by default
        self.limits: dict[str, int] = {}
        self.cache = b""
        self.takes_shapes = True

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.limits[pool] = size

    def add_optimization_profile(self, profile: Any) -> int:
        self.profile = profile
        return 0 if self.takes_shapes else -1

    def create_timing_cache(self, data: bytes) -> bytes:
        return data

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache != b"another driver's":
            self.cache = cache
        return self.cache == cache

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.cache + b" and more")


class Context:
    """Doubles its input."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return shape[0] <= 8

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1,) if name == "odd" else self.shapes["x"]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        count = int(np.prod(self.shapes["x"]))
        source, target = (
            np.ctypeslib.as_array((ctypes.c_float * count).from_address(self.addresses[name]))
            for name in ("x", "y")
        )
        target[:] = 2 * source
        return True


class TensorRt:
    """The module."""

    __version__ = "10.13.3.9"
    BuilderFlag = Flags
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=2)

    class Logger:
        WARNING = 1

        def __init__(self, level: int) -> None:
            pass

    def __init__(self) -> None:
        self.config = Config()
        self.readable, self.buildable, self.flags = True, True, -1
        self.parsed = b""

    def Builder(self, logger: Any) -> Any:
        def create_network(flags: int) -> None:
            self.flags = flags

        shapes: dict[str, Any] = {}
        profile = SimpleNamespace(
            shapes=shapes, set_shape=lambda name, *three: shapes.update({name: three})
        )
        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=lambda: self.config,
            create_optimization_profile=lambda: profile,
            build_serialized_network=lambda *_: b"plan" if self.buildable else None,
        )

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        def parsed(model: bytes) -> bool:
            self.parsed = model
            return self.readable

        return SimpleNamespace(
            parse=parsed,
            parse_from_file=lambda path: self.readable,
            num_errors=1,
            get_error=lambda number: SimpleNamespace(desc=lambda: f"error {number}"),
        )

    def Runtime(self, logger: Any) -> Any:
        loaded = SimpleNamespace(
            create_execution_context=Context, get_tensor_dtype=lambda name: np.float32
        )
        return SimpleNamespace(
            deserialize_cuda_engine=lambda plan: loaded if plan == b"plan" else None
        )

    @staticmethod
    def nptype(kind: Any) -> Any:
        return kind


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> TensorRt:
    double = TensorRt()
    monkeypatch.setattr(module, "import_module", lambda name: double)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10 * 2**30, 48 * 2**30))
    stream = SimpleNamespace(cuda_stream=0, synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    return double


def made() -> module.TensorRtEngine:
    engine = module.TensorRtEngine()
    engine._device = "cpu"
    return engine


@pytest.mark.parametrize("precision", ["FP32", "FP16", "BF16"])
def test_a_build_says_what_is_declared(precision: str, tensorrt: TensorRt, tmp_path: Path) -> None:
    graph = write_model(tmp_path) / "model.onnx"
    wanted = declared(tmp_path, MODEL)
    assert wanted is not None
    plan, timings = made().build(graph, wanted, precision, b"timed")
    assert (plan, timings) == (b"plan", b"timed and more")
    config = tensorrt.config
    assert config.flags == {precision} - {"FP32"}  # and no TF32
    assert config.limits == {"workspace": 3 * 2**30}  # a sixteenth of the card
    assert config.profile.shapes == {"x": ((1, 1), (4, 16), (8, 32))}
    assert tensorrt.flags == 0


@pytest.mark.parametrize("known", [b"another driver's", b""])
def test_timings_that_do_not_fit_are_left(known: bytes, tensorrt: TensorRt, tmp_path: Path) -> None:
    graph = write_model(tmp_path) / "model.onnx"
    wanted = declared(tmp_path, MODEL)
    assert wanted is not None
    assert made().build(graph, wanted, "FP32", known)[1] == b" and more"


def test_what_tensorrt_cannot_do_is_said(tensorrt: TensorRt, tmp_path: Path) -> None:
    graph = write_model(tmp_path) / "model.onnx"
    wanted = declared(tmp_path, MODEL)
    assert wanted is not None
    with pytest.raises(ExportError, match="FP8 quantisation"):
        made().build(graph, wanted, "FP8", b"")
    tensorrt.config.takes_shapes = False
    with pytest.raises(ExportError, match="does not take the shapes"):
        made().build(graph, wanted, "FP16", b"")
    tensorrt.config.takes_shapes = True
    tensorrt.buildable = False
    with pytest.raises(ExportError, match="cannot build it in FP16"):
        made().build(graph, wanted, "FP16", b"")
    tensorrt.readable = False
    with pytest.raises(ExportError, match="error 0"):
        made().build(graph, wanted, "FP16", b"")


def test_a_graph_of_bytes_is_read_with_its_cast_first(
    tensorrt: TensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = write_model(tmp_path) / "model.onnx"
    wanted = declared(tmp_path, MODEL)
    assert wanted is not None
    made().build(graph, wanted, "FP32", b"")
    assert tensorrt.parsed == b""
    monkeypatch.setattr(module, "for_tensorrt", lambda file: b"changed")
    made().build(graph, wanted, "FP32", b"")
    assert tensorrt.parsed == b"changed"


def test_inputs_are_contiguous_on_the_device(tensorrt: TensorRt) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3).T
    (y,) = made().run(b"plan", {"x": x}, ["y"])
    np.testing.assert_array_equal(y, 2 * x)


def test_a_run(tensorrt: TensorRt) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = made().run(b"plan", {"x": x}, ["y"])
    np.testing.assert_array_equal(y, 2 * x)
    with pytest.raises(ExportError, match="takes no x"):
        made().run(b"plan", {"x": np.zeros((9, 3), np.float32)}, ["y"])
    with pytest.raises(ExportError, match="depends on the data"):
        made().run(b"plan", {"x": x}, ["odd"])
    with pytest.raises(ExportError, match="cannot read"):
        made().run(b"other", {"x": x}, ["y"])


def test_tensorrt_11_is_refused(tensorrt: TensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TensorRt, "BuilderFlag", SimpleNamespace(TF32="TF32"))
    with pytest.raises(ExportError, match=r"10\.x is needed"):
        made()


def test_torch_without_a_gpu(tensorrt: TensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExportError, match="sees no GPU"):
        made()
