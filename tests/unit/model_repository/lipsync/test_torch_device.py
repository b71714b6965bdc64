"""What is asked of CUDA, as this torch has it; the calls themselves need a card."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from memory.torch_device import CpuDevice, CudaDevice, open_device

STUBS = (Path(torch.__file__).parent / "_C" / "__init__.pyi").read_text()


class Graph:
    """Notes how it is captured, with the arguments that torch's own takes."""

    made: list[Graph] = []

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.made.append(self)

    def capture_begin(self, *pool: Any, **named: Any) -> None:
        inspect.signature(torch.cuda.CUDAGraph.capture_begin).bind(self, *pool, **named)
        self.calls.append(("begin", *pool, named["capture_error_mode"]))

    def capture_end(self) -> None:
        self.calls.append("end")

    def replay(self) -> None:
        self.calls.append("replay")

    def pool(self) -> str:
        return "the pool"


class Stream:
    synchronized = 0

    def synchronize(self) -> None:
        self.synchronized += 1


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
    told = []
    monkeypatch.setattr(
        torch._C, "_cudnn_set_conv_benchmark_empty_cache", told.append, raising=False
    )
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(Graph, "made", [])

    def never(*_: Any) -> None:
        raise AssertionError("under the work of others")

    for name in ("empty_cache", "synchronize", "graph"):
        monkeypatch.setattr(torch.cuda, name, never)
    made = CudaDevice(torch.device("cuda", 1))
    assert told == [False]
    return made


def test_a_capture_disturbs_nobody(device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.collect", lambda *_: pytest.fail("under the work of others"))
    stream = Stream()
    replay, pool = device.capture(lambda: Graph.made[-1].calls.append("work"), stream, None)
    device.capture(lambda: None, stream, pool)
    replay()
    first, second = Graph.made
    assert first.calls == [("begin", "thread_local"), "work", "end", "replay"]
    assert second.calls == [("begin", "the pool", "thread_local"), "end"]
    assert stream.synchronized == 2


def test_a_capture_that_fails_is_ended(device: CudaDevice) -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        device.capture(fail, Stream(), None)
    assert Graph.made[0].calls[-1] == "end"


def test_algorithms_are_timed_while_graphs_are_planned_only(device: CudaDevice) -> None:
    seen, stream = [], Stream()
    for thorough in (True, False):
        device.plan(lambda: seen.append(torch.backends.cudnn.benchmark), stream, thorough)
        assert not torch.backends.cudnn.benchmark
    assert seen == [True, True, False, False]
    assert stream.synchronized == 2


def test_planning_that_fails_leaves_nothing_behind(device: CudaDevice) -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        device.plan(fail, Stream(), True)
    assert not torch.backends.cudnn.benchmark


def test_a_card_that_runs_nothing_is_lost(device: CudaDevice) -> None:
    assert not device.is_alive()  # there is none here
    assert device.is_lost(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    assert not device.is_lost(torch.OutOfMemoryError("CUDA out of memory"))
    assert not device.is_lost(ValueError("no shape"))


def test_what_this_torch_must_have() -> None:
    assert "def _cudnn_set_conv_benchmark_empty_cache(enable: _bool)" in STUBS
    inspect.signature(torch.cuda.Event.__new__).bind(torch.cuda.Event, blocking=True)
    for owner, name in (
        (torch.cuda.Event, "record"),
        (torch.cuda.Event, "query"),
        (torch.cuda.Event, "synchronize"),
        (torch.cuda.Stream, "wait_event"),
        (torch.cuda.Stream, "synchronize"),
        (torch.Tensor, "record_stream"),
        (torch.cuda, "mem_get_info"),
    ):
        assert callable(getattr(owner, name))


def test_both_devices_are_asked_for_the_same() -> None:
    assert open_device("cpu").kind == "cpu"
    for name, method in vars(CudaDevice).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            theirs = inspect.signature(getattr(CpuDevice, name)).parameters
            assert list(inspect.signature(method).parameters) == list(theirs), name
