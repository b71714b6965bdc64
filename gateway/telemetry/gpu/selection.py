"""Which source of GPU figures is read: the configured one, the best that works, or a stub."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from gateway.placement import expects_gpu
from gateway.settings import Settings
from gateway.settings.telemetry import GpuSettings
from gateway.telemetry.gpu.dcgm import DcgmSource
from gateway.telemetry.gpu.nvml import NvmlSource
from gateway.telemetry.gpu.sample import GpuSample, GpuSource, Reading, SourceLostError, SourceName
from gateway.telemetry.gpu.triton import TritonSource

DEVICE = "virtual-gpu"
PERIOD = 60.0  # seconds for one swing of every figure
RECHECK_SECONDS = 30.0  # between looks for a driver while the stub stands in


class StubSource:
    """One device whose figures swing slowly within the documented ranges."""

    name: SourceName = "stub"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def read(self) -> list[Reading]:
        """Return the one device (see :class:`GpuSource`); never fails."""
        now = self._clock()
        swing = (1 + math.sin(2 * math.pi * now / PERIOD)) / 2
        utilisation = 25 + 5 * swing
        sample = GpuSample(
            gpu_util=utilisation,
            mem_util=utilisation / 2,
            memory_used_mb=1024,
            memory_total_mb=8192,
            power_w=150 + 10 * swing,
            power_limit_w=250,
            temperature_c=45 + 2 * swing,
            timestamp=now,
        )
        return [Reading(DEVICE, None, sample)]

    def close(self) -> None:
        """Nothing is open."""


class SelectedSource:
    """The first of several sources that works.

    The one in use is kept as long as it works. When it is lost the others are tried, and it is
    tried again at every read. The stand-in is used only until a real source has worked once:
    afterwards a driver that is away is reported as lost, not covered with invented figures.

    Args:
        sources: real sources, best first.
        stand_in: used while none of them has ever worked; none: nothing is read then.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sources: Sequence[GpuSource],
        stand_in: GpuSource | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = list(sources)
        self._stand_in = stand_in
        self._clock = clock
        self._current: GpuSource | None = None
        self._next_look = float("-inf")

    @property
    def name(self) -> SourceName:
        """The source in use, else the one that is wanted most."""
        return (self._current or self._stand_in or self._sources[0]).name

    def read(self) -> list[Reading]:
        """Return the readings of the source in use (see :class:`GpuSource`)."""
        if self._current or not self._stand_in or self._clock() >= self._next_look:
            self._next_look = self._clock() + RECHECK_SECONDS
            for source in sorted(self._sources, key=lambda source: source is not self._current):
                try:
                    readings = source.read()
                except SourceLostError:
                    continue
                self._current = source
                return readings
        if self._current or not self._stand_in:
            raise SourceLostError
        return self._stand_in.read()

    def close(self) -> None:
        """Release every source."""
        for source in self._sources:
            source.close()


def select_source(
    gpu: GpuSettings,
    metrics_urls: Sequence[str] = (),
    *,
    elsewhere: bool = False,
    expected: bool = False,
) -> GpuSource:
    """Return what ``telemetry.gpu.source`` asks for.

    Args:
        gpu: the section ``telemetry.gpu``.
        metrics_urls: Triton's metrics endpoints.
        elsewhere: whether the models run on another machine, whose GPUs no driver here knows.
        expected: whether the configuration wants a GPU: then none is ever invented.
    """
    if gpu.source == "stub":
        return StubSource()
    dcgm = DcgmSource(gpu.dcgm_address, gpu.dcgm_field_ids)
    fixed: dict[str, GpuSource] = {
        "dcgm": dcgm, "nvml": NvmlSource(), "triton": TritonSource(metrics_urls),
    }  # fmt: skip
    if gpu.source != "auto":
        return fixed[gpu.source]
    best = list(fixed) if not elsewhere else ["triton", "dcgm", "nvml"]
    return SelectedSource([fixed[name] for name in best], None if expected else StubSource())


def gpu_source(settings: Settings) -> GpuSource:
    """Return the source of the figures of this configuration's GPUs."""
    gpu, triton = settings.telemetry.gpu, settings.triton
    return select_source(
        gpu,
        triton.metrics_urls,
        elsewhere=triton.elsewhere and gpu.dcgm_address is None,
        expected=expects_gpu(settings),
    )
