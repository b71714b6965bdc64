"""The GPU engine prepares and proves a graph before a tenant counts as loaded, on lazy devices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gpu_graph
import numpy as np
import onnx
import pytest
import torch
from cpu_engine import CpuEngine
from frame_pixels import Mask
from gpu_engine import GpuEngine
from gpu_graph import PreparedGraph
from lipsync_errors import NotFiniteError, UnsuitableTenantError
from lipsync_request import Command
from onnx import numpy_helper
from tenant_blob import OpenBlob
from tenant_control import TenantControl
from tenant_golden import psnr
from tenant_import import import_tenant
from tenant_layout import HALF
from tenant_store import TenantStore
from tenant_table import TenantTable
from torch.nn import functional
from torch_device import EXIT_STATUS, CpuDevice

from tests.support.lazy_device import LazyDevice
from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant

MASK = Mask(5, 5, 310, 305)
SMALL = (1, 2)
FOLDER = Path(gpu_graph.__file__).parent


def half(file: Path, folder: Path) -> OpenBlob:
    return OpenBlob(folder, import_tenant(file, folder, HALF))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[OpenBlob, Plain]]:
    """Three more tenants of one graph."""
    folder = tmp_path_factory.mktemp("others")
    files = [write_tenant(folder, str(seed), seed) for seed in (11, 12, 13)]
    return [(half(file, folder / f"import-{file.stem}"), Plain(file)) for file in files]


def run(engine: GpuEngine, weights: Any, count: int, kind: Any = np.float32, **more: Any) -> Any:
    mouths = np.empty((count, 3, 320, 320), kind)
    given = more.pop("given", frames(count))
    engine.run(more.pop("worker", 0), weights, given, audio(), mouths)
    return mouths


def test_four_threads_and_more_tenants_than_fit(others: list[tuple[OpenBlob, Plain]]) -> None:
    """Whatever waits for whatever else: streams, buffers, pinned memory, weights."""
    size = others[0][0].flat().nbytes
    engine = GpuEngine(LazyDevice(), 4, MASK, budget=2 * size, batches=SMALL)
    loaded = [(engine.load(blob), plain(frames(2), audio())) for blob, plain in others]

    def work(worker: int) -> None:
        for number in np.random.default_rng(worker).integers(0, 3, 4):
            weights, expected = loaded[number]
            kind = (np.float32, np.float16, np.uint8)[number]
            got = run(engine, weights, 2, kind, worker=worker)
            got = got / 255 if kind is np.uint8 else got.astype(np.float32)
            assert psnr(expected, got) >= 48

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert {engine.tiers.where(weights.tiered) for weights, _ in loaded} == {"device", "host"}


def test_a_device_that_ignores_order_does_not_pass_the_golden_frame(half_blob: OpenBlob) -> None:
    engine = GpuEngine(LazyDevice(ordered=False), 1, MASK, batches=SMALL)
    with pytest.raises(UnsuitableTenantError):
        engine.load(half_blob)
    assert engine.tiers.device_bytes == 0


def test_nothing_is_captured_or_allocated_once_a_tenant_is_loaded(
    half_blob: OpenBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = LazyDevice()
    engine = GpuEngine(device, 2, MASK, batches=SMALL)
    weights = engine.load(half_blob)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("in a request")

    for name in ("capture", "plan", "empty", "pinned", "trim"):
        monkeypatch.setattr(device, name, never)
    for worker in range(2):
        for count in SMALL:
            for channels in (3, 6):
                for kind in (np.float32, np.float16, np.uint8):
                    given = frames(count, channels=channels).astype(kind)
                    run(engine, weights, count, kind, worker=worker, given=given)


def test_all_batches_of_all_workers_are_captured_by_one_thread(half_blob: OpenBlob) -> None:
    calls: list[tuple[str, str]] = []

    class Recording(CpuDevice):
        def capture(self, call: Callable[[], None], stream: Any, pool: Any) -> Any:
            calls.append(("capture", threading.current_thread().name))
            return super().capture(call, stream, pool)

        def plan(self, call: Callable[[], None], stream: Any, thorough: bool) -> None:
            calls.append(("plan", threading.current_thread().name))
            super().plan(call, stream, thorough)

    engine = GpuEngine(Recording(), 2, MASK, batches=SMALL, fuse=False)
    weights = engine.load(half_blob)
    assert sorted(weights.graph.slots) == [0, 1]
    graphs = len(SMALL) * (1 + 6)  # of every batch the network and six formats
    worker = ["plan", *["plan", "capture"] * graphs]  # first the frame without graphs
    assert [what for what, _ in calls] == worker * 2
    assert len({name for _, name in calls}) == 1


@pytest.mark.parametrize(("seconds", "timed"), [(0.0, 1), (1e9, 1 + len(SMALL))])
def test_timing_algorithms_has_an_end(
    seconds: float, timed: int, half_blob: OpenBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is planned first is timed in any case: cuDNN keeps its first choice for a shape."""
    told = []

    class Recording(CpuDevice):
        def plan(self, call: Callable[[], None], stream: Any, thorough: bool) -> None:
            told.append(thorough)

    monkeypatch.setattr(gpu_graph, "THOROUGH_SECONDS", seconds)
    GpuEngine(Recording(), 1, MASK, batches=SMALL, fuse=False).load(half_blob)
    assert told[0]
    assert sum(told) == timed


def test_memory_is_given_back_only_while_nobody_computes(
    half_blob: OpenBlob, tmp_path: Path
) -> None:
    trims = []

    class Recording(CpuDevice):
        def trim(self) -> None:
            trims.append(len(engine._graphs))

    engine = GpuEngine(Recording(), 1, MASK, batches=(1,))
    first = engine.load(half_blob)
    engine.load(half_blob)
    engine.load(half(write_tenant(tmp_path, "wider", 1, width=0.25), tmp_path / "import"))
    assert len(trims) == 1
    assert first.graph is engine.load(half_blob).graph


def test_the_only_tenant_may_leave_and_come_back_without_another_capture(
    half_blob: OpenBlob,
) -> None:
    engine = GpuEngine("cpu", 1, MASK, batches=(1,))
    first = engine.load(half_blob)
    graph = first.graph
    engine.free(first)
    del first
    assert engine.load(half_blob).graph is graph


def test_tenants_that_come_together_prepare_their_graph_once(
    others: list[tuple[OpenBlob, Plain]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    prepare = PreparedGraph._prepare

    def counted(self: Any, *arguments: Any) -> str:
        made.append(arguments)
        return prepare(self, *arguments)

    monkeypatch.setattr(PreparedGraph, "_prepare", counted)
    engine = GpuEngine("cpu", 1, MASK, batches=(1,), fuse=False)
    with ThreadPoolExecutor(3) as pool:
        loaded = list(pool.map(engine.load, [blob for blob, _ in others]))
    assert len(made) == 1
    assert len({id(weights.graph) for weights in loaded}) == 1


def scaled(tenant: Path, target: Path, factors: dict[str, tuple[float, float]]) -> Path:
    """Weights and biases times factors; ReLUs let them through."""
    model = onnx.load(str(tenant))
    for tensor in model.graph.initializer:
        layer, _, kind = tensor.name.partition(".conv.")
        if layer in factors:
            factor = factors[layer][kind == "bias"]
            value = numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    onnx.save(model, str(target))
    return target


@pytest.fixture(scope="module")
def loud_file(tenant: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tenant that says the same, but whose inner numbers are beyond half precision."""
    folder = tmp_path_factory.mktemp("loud")
    up = 2.0**8
    factors = {  # of weight and bias: two layers louder, two quieter
        "audio.0.expand": (up, up), "audio.0.depthwise": (up, up * up),
        "audio.0.project": (1 / up, up), "audio.1.expand": (1 / up, 1.0),
    }  # fmt: skip
    return scaled(tenant, folder / "loud.onnx", factors)


@pytest.fixture(scope="module")
def loud(loud_file: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenBlob:
    """Its import."""
    return half(loud_file, tmp_path_factory.mktemp("loud-import"))


def test_a_tenant_that_overflows_half_precision_is_computed_by_the_cpu(
    loud: OpenBlob, loud_file: Path
) -> None:
    assert loud.manifest.quality["psnr_db"] >= 50, "its weights are fine, as the import found"
    GpuEngine("cpu", 1, MASK, batches=(1,)).load(loud)
    engine = GpuEngine(CpuDevice(torch.float16), 1, MASK, batches=(1,), fuse=False)
    behind = CpuEngine(1, MASK)
    backings = [(one, TenantStore(one.layout, import_tenant)) for one in (engine, behind)]
    table = TenantTable(lambda weights: None)
    control = TenantControl(table, backings, 1, 1, 50)
    report = control.load(Command("load", "loud", str(loud_file)))
    assert report["engine"].startswith(behind.name + " (plain convolutions: a test frame")
    assert table.acquire("loud").weights[0] is behind
    assert engine.tiers.device_bytes == 0


def test_another_tenants_weights_do_not_decide(
    loud: OpenBlob, half_blob: OpenBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both come at once and have one graph; only one of them suits."""
    begun, go_on = threading.Event(), threading.Event()
    judged = gpu_graph._judged

    def slowly(blob: OpenBlob, mouths: np.ndarray, where: str) -> str:
        if blob is loud:
            begun.set()
            assert go_on.wait(60)
            return "does not suit"
        return judged(blob, mouths, where)

    monkeypatch.setattr(gpu_graph, "_judged", slowly)
    engine = GpuEngine("cpu", 1, MASK, batches=(1,), fuse=False)
    with ThreadPoolExecutor(2) as pool:
        bad = pool.submit(engine.load, loud)
        assert begun.wait(60)
        good = pool.submit(engine.load, half_blob)
        go_on.set()
        with pytest.raises(UnsuitableTenantError, match="does not suit"):
            bad.result(60)
        assert good.result(60).graph.slots


def test_a_frame_that_becomes_no_picture_is_an_error(half_blob: OpenBlob) -> None:
    engine = GpuEngine("cpu", 1, MASK, batches=(2,))
    weights = engine.load(half_blob)
    given = frames(2)
    given[1, 0, 0, 0] = np.nan
    for kind in (np.float32, np.uint8):
        with pytest.raises(NotFiniteError):
            run(engine, weights, 2, kind, given=given)
    run(engine, weights, 1, given=given[:1])  # what is left of other steps counts for nobody


class Tight(LazyDevice):
    """Has no memory for some of the slots."""

    slots_without = 0

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if len(shape) == 1 and dtype == torch.float32 and self.slots_without:
            self.slots_without -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().empty(shape, dtype)


def test_slots_that_find_no_memory_make_tenants_leave_and_are_tried_once_more(
    others: list[tuple[OpenBlob, Plain]], tmp_path: Path
) -> None:
    device = Tight()
    engine = GpuEngine(device, 1, MASK, batches=(1,), fuse=False)
    loaded = [engine.load(blob) for blob, _ in others]
    wider = half(write_tenant(tmp_path, "wider", 1, width=0.25), tmp_path / "import")
    device.slots_without = 1
    engine.load(wider)
    assert "host" in {engine.tiers.where(weights.tiered) for weights in loaded}
    third = half(write_tenant(tmp_path, "third", 1, width=0.0625), tmp_path / "third")
    device.slots_without = 2
    with pytest.raises(UnsuitableTenantError, match="no memory for its slots"):
        engine.load(third)
    for weights, (_, plain) in zip(loaded, others, strict=True):
        assert psnr(plain(frames(1), audio()), run(engine, weights, 1)) >= 50


@pytest.mark.parametrize("alive", [True, False])
def test_an_error_after_which_nothing_runs_is_reported_and_others_are_not(
    alive: bool, half_blob: OpenBlob
) -> None:
    lost: list[BaseException] = []
    device = CpuDevice()
    engine = GpuEngine(device, 1, MASK, batches=(1,), lost=lost.append)
    weights = engine.load(half_blob)
    slot = weights.graph.slots[0]
    device.is_alive = lambda: alive  # type: ignore[method-assign]
    full = torch.AcceleratorError("CUDA error: out of memory")
    full.error_code = 2  # not by torch's allocator
    for error, ends in (
        (ValueError("a bad array"), False),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (full, False),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
    ):
        lost.clear()

        def fail(error: Exception = error) -> None:
            raise error

        slot._replays[1].compute = fail
        with pytest.raises(type(error)):
            run(engine, weights, 1)
        assert lost == ([error] if ends and not alive else [])


def test_a_context_that_is_lost_while_a_tenant_is_loaded_is_no_reason_against_the_tenant(
    half_blob: OpenBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[BaseException] = []
    device = CpuDevice()
    device.is_alive = lambda: False  # type: ignore[method-assign]
    error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(device, "capture", fail)
    engine = GpuEngine(device, 1, MASK, batches=(1,), fuse=False, lost=lost.append)
    with pytest.raises(torch.AcceleratorError):
        engine.load(half_blob)
    assert lost == [error]
    device.is_alive = lambda: True  # type: ignore[method-assign]
    with pytest.raises(UnsuitableTenantError, match=r"torch does not run it \(CUDA error"):
        engine.load(half_blob)


def test_a_lost_context_ends_the_process_so_that_triton_makes_another() -> None:
    script = (
        "import torch, torch_device\n"
        "torch_device.end_process(torch.AcceleratorError('CUDA error: bad\\nand more'))\n"
        "print('still here')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT_STATUS
    assert ended.stdout == ""
    assert "the CUDA context is lost, the process ends: CUDA error: bad\n" in ended.stderr


@pytest.mark.parametrize(
    ("free", "total", "budget", "expected"),
    [
        (140e9, 150e9, 0, 140e9 - 7.5e9 - 4 * 2e9),
        (24e9, 24e9, 0, 24e9 - 1.2e9 - 4 * 2e9),
        (24e9, 24e9, 5e9, 5e9),
        (6e9, 16e9, 0, 0),
    ],
)
def test_weights_get_what_is_free_beside_the_slots_or_what_they_are_given(
    free: float, total: float, budget: float, expected: float
) -> None:
    class Card(CpuDevice):
        slot_bytes = 2 * 10**9

        def memory(self) -> tuple[int, int]:
            return int(free), int(total)

    engine = GpuEngine(Card(), 4, MASK, int(budget), batches=(1,))
    assert engine.tiers._plan.capacity == int(expected)
    assert engine._capacity(2) == int(budget or max(0, expected - 4 * 2e9))


@pytest.fixture
def cudnn() -> Iterator[dict[str, Any]]:
    """cuDNN's operators on the CPU; `spoil` makes them read what they write to, `wrong` wrong."""
    behaviour = {"calls": 0, "wrong": False, "spoil": False}
    library = torch.library.Library("aten", "IMPL")
    before: dict[tuple[int, ...], torch.Tensor] = {}

    def relu(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:  # fmt: skip  # noqa: E501
        behaviour["calls"] += 1
        made = functional.conv2d(
            x, weight, None if behaviour["wrong"] else bias, stride, padding, dilation, groups
        ).relu()
        if behaviour["spoil"]:
            made = made + 0 * before.get(tuple(made.shape), torch.zeros(1))
            before[tuple(made.shape)] = made
        return made

    library.impl("cudnn_convolution_relu", relu, "CPU")
    yield behaviour
    library._destroy()


def test_fused_convolutions_are_used_where_they_are_right(
    cudnn: dict[str, Any], others: list[tuple[OpenBlob, Plain]]
) -> None:
    blob, plain = others[0]
    engine = GpuEngine("cpu", 1, MASK, batches=SMALL)
    weights = engine.load(blob)
    assert weights.engine.endswith(", 32 fused convolutions")
    before = cudnn["calls"]
    assert psnr(plain(frames(2), audio()), run(engine, weights, 2)) >= 50
    assert cudnn["calls"] - before == 32
    assert (
        GpuEngine("cpu", 1, MASK, batches=(1,), fuse=False)
        .load(blob)
        .engine.endswith(", plain convolutions")
    )


@pytest.mark.parametrize("fault", ["wrong", "spoil"])
def test_fused_convolutions_that_change_the_picture_are_not_used(
    fault: str, cudnn: dict[str, Any], others: list[tuple[OpenBlob, Plain]]
) -> None:
    cudnn[fault] = True
    blob, plain = others[0]
    engine = GpuEngine("cpu", 1, MASK, batches=SMALL)
    weights = engine.load(blob)
    assert ", plain convolutions (32 fused convolutions: a test frame keeps" in weights.engine
    assert psnr(plain(frames(2), audio()), run(engine, weights, 2)) >= 50


def test_fused_convolutions_that_are_not_there_are_done_without(half_blob: OpenBlob) -> None:
    weights = GpuEngine("cpu", 1, MASK, batches=(1,)).load(half_blob)
    told = ", plain convolutions (32 fused convolutions: torch does not run it (Could not run"
    assert told in weights.engine
