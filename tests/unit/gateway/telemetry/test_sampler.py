"""The sampler's thread: an answer at once, unmoved by drivers that fail, hang or break."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pynvml
import pytest

from gateway.settings.telemetry import GpuSettings
from gateway.telemetry.gpu import GpuSampler, GpuSource, UnknownGpuError, sampler
from gateway.telemetry.gpu.nvml import NvmlSource
from gateway.telemetry.gpu.selection import StubSource
from tests.support.fake_gpu import FakeGpu, FakeNvml
from tests.support.waiting import PATIENCE, until

FAST = GpuSettings(source="stub", interval_seconds=0.1)


def make(source: GpuSource | None = None, **settings: object) -> GpuSampler:
    return GpuSampler(FAST.model_copy(update=settings), source)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_a_sample_is_there_after_start() -> None:
    tested = make(interval_seconds=60.0)
    assert tested.interval_seconds == 60
    await tested.start()
    try:
        await until(lambda: tested.history(0, 1).samples)  # at once, on a machine with time for it
        history = tested.history(0, 1)
        assert (history.device, history.source, history.state) == ("virtual-gpu", "stub", "live")
        assert len(history.samples) == 1
        with pytest.raises(UnknownGpuError):
            tested.history(1, 1)
        assert tested.histories(120) == [history]
    finally:
        await tested.stop()


async def test_the_ring_keeps_the_newest_oldest_first() -> None:
    tested = make(history=3)
    await tested.start()
    try:
        await until(lambda: tested.history(0, 1).samples)
        first = tested.history(0, 1).samples[0].timestamp
        await until(lambda: tested.history(0, 1).samples[0].timestamp > first + 0.35)
        moments = [one.timestamp for one in tested.history(0, 120).samples]
        assert len(moments) == 3
        assert moments == sorted(moments)
    finally:
        await tested.stop()
    rest = tested.history(0, 120)
    await asyncio.sleep(0.25)
    assert tested.history(0, 120).samples == rest.samples, "nothing is read after the stop"


async def test_every_gpu_and_a_driver_that_returns(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=sampler.__name__)
    nvml = FakeNvml(FakeGpu(), FakeGpu(uuid="GPU-b", name="H100"))
    tested = make(NvmlSource(nvml))
    await tested.start()
    try:
        await until(lambda: tested.history(0, 1).samples)
        assert [(one.gpu, one.device) for one in tested.histories(1)] == [
            (0, "NVIDIA A10"),
            (1, "H100"),
        ]
        nvml.down = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
        await until(lambda: "GPUs cannot be read" in said(caplog))
        await until(lambda: tested.history(1, 1).state == "lost")
        kept = tested.history(1, 120)
        assert kept.source == "nvml"
        assert kept.samples, "the last samples stay while the driver is away"
        nvml.down = None
        await until(lambda: tested.history(1, 1).state == "live")
        await until(lambda: "GPUs are read again" in said(caplog))
        assert tested.history(1, 120).samples[0] == kept.samples[0], "and go on when it is back"
    finally:
        await tested.stop()
    await until(lambda: nvml.opened == 0)
    assert said(caplog) == ["GPUs cannot be read", "GPUs are read again"]


class Hanging(StubSource):
    """A driver that does not come back."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.reads = 0

    def read(self) -> list[sampler.Reading]:
        self.reads += 1
        self.released.wait()
        return super().read()


async def test_a_driver_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "FIRST_READ_SECONDS", 0.2)
    monkeypatch.setattr(sampler, "STOP_SECONDS", 0.2)
    source = Hanging()
    before = set(threading.enumerate())
    tested = make(source)
    begin = time.monotonic()
    await tested.start()
    await until(lambda: source.reads)
    await asyncio.sleep(0.3)
    assert tested.history(0, 120).samples == ()
    assert tested.history(0, 1).state == "lost"
    assert source.reads == 1, "reads pile up"
    started = set(threading.enumerate()) - before
    (thread,) = (one for one in started if one.name == "gpu-sampler")
    assert thread.daemon, "the process could not end"
    await tested.stop()
    assert time.monotonic() - begin < PATIENCE  # the driver would hang for ever
    source.released.set()


class Broken(StubSource):
    """Bindings with a bug."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = True
        self.reads = 0

    def read(self) -> list[sampler.Reading]:
        self.reads += 1
        if self.broken:
            raise KeyError("secret detail")
        return super().read()


async def test_a_bug_does_not_end_the_sampler(caplog: pytest.LogCaptureFixture) -> None:
    source = Broken()
    tested = make(source)
    await tested.start()
    try:
        await until(lambda: source.reads >= 3)
        source.broken = False
        await until(lambda: tested.history(0, 1).state == "live")
    finally:
        await tested.stop()
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert record.__dict__["error_type"] == "KeyError"
    assert "secret" not in str(record.__dict__)


async def test_stop_without_start() -> None:
    await make().stop()
