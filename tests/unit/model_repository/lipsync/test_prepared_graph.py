"""The GPU engine prepares and proves a graph before a tenant counts as loaded, on lazy devices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from engines import gpu_graph
from engines.cpu import CpuEngine
from engines.gpu import GpuEngine
from engines.gpu_graph import PreparedGraph
from lipsync_errors import NotFiniteError, UnsuitableTenantError
from lipsync_request import Command
from memory.torch_device import CpuDevice
from onnx import numpy_helper
from tenants.blob import OpenBlob
from tenants.control import TenantControl
from tenants.golden import psnr
from tenants.importing import import_tenant
from tenants.store import TenantStore
from tenants.table import TenantTable

from tests.support.half_tenants import MASK, half, run
from tests.support.lazy_device import LazyDevice
from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant

SMALL = (1, 2)


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
