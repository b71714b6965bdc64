"""The newest GPU samples as Prometheus gauges, in Prometheus's base units."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.telemetry.gpu.sample import GpuHistory

LABELS = ["gpu", "device", "source"]
MIB = 2**20
PERCENT = 0.01
# Name, help text, field of the sample, factor to the base unit.
GAUGES = (
    ("utilization_ratio", "Share of time in which a kernel ran.", "gpu_util", PERCENT),
    (
        "memory_controller_utilization_ratio",
        "Share of time in which device memory was read or written.",
        "mem_util",
        PERCENT,
    ),
    ("memory_used_bytes", "Device memory in use.", "memory_used_mb", MIB),
    ("memory_total_bytes", "Device memory.", "memory_total_mb", MIB),
    ("power_watts", "Power drawn.", "power_w", 1),
    ("power_limit_watts", "Power limit that is enforced.", "power_limit_w", 1),
    ("temperature_celsius", "Temperature of the die.", "temperature_c", 1),
)


class GpuCollector(Collector):
    """Exports what the sampler last read; a GPU that is lost has ``pentad_gpu_up`` 0 and no more.

    Args:
        histories: returns the newest samples of every GPU, as :meth:`GpuSampler.histories`.
    """

    def __init__(self, histories: Callable[[int], list[GpuHistory]]) -> None:
        self._histories = histories

    def collect(self) -> Iterator[Metric]:
        """Yield one gauge per figure with a series per GPU that reports it."""
        histories = [history for history in self._histories(1) if history.device is not None]
        up = GaugeMetricFamily("pentad_gpu_up", "1 while the GPU is read.", labels=LABELS)
        for history in histories:
            up.add_metric(_labels(history), history.state == "live")
        yield up
        for name, text, field, factor in GAUGES:
            family = GaugeMetricFamily(f"pentad_gpu_{name}", text, labels=LABELS)
            for history in histories:
                if history.state != "live" or not history.samples:
                    continue
                value = getattr(history.samples[-1], field)
                if value is not None:
                    family.add_metric(_labels(history), value * factor)
            yield family


def _labels(history: GpuHistory) -> list[str]:
    return [str(history.gpu), history.device or "", history.source]
