"""Invented figures for a machine without a GPU; the label ``stub`` goes wherever they go."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from gateway.telemetry.gpu.sample import GpuSample, Reading, SourceName

DEVICE = "virtual-gpu"
PERIOD = 60.0  # seconds for one swing of every figure


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
