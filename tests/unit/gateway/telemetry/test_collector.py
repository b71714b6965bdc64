"""The gauges: base units, labels, and no invented series."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.gpu import GpuCollector, GpuHistory, GpuSample
from gateway.telemetry.metrics import Metrics

FULL = GpuSample(50, 12.5, 1024, 8192, 155, 250, 46, 1_700_000_000)
PARTIAL = GpuSample(None, None, 1024, None, None, None, None, 1_700_000_000)


def series(*histories: GpuHistory) -> dict[tuple[str, str, str, str], float]:
    metrics = Metrics()
    metrics.add(GpuCollector(lambda count: list(histories)))
    return {
        (sample.name, sample.labels["gpu"], sample.labels["device"], sample.labels["source"]): (
            sample.value
        )
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name.startswith("pentad_gpu_")
    }


def test_base_units() -> None:
    found = series(GpuHistory(1, "A10", "nvml", "live", (FULL,)))
    names = {name.removeprefix("pentad_gpu_"): value for (name, *labels), value in found.items()}
    assert {tuple(labels) for (_, *labels) in found} == {("1", "A10", "nvml")}
    assert names == {
        "up": 1,
        "utilization_ratio": 0.5,
        "memory_controller_utilization_ratio": 0.125,
        "memory_used_bytes": 2**30,
        "memory_total_bytes": 2**33,
        "power_watts": 155,
        "power_limit_watts": 250,
        "temperature_celsius": 46,
    }


def test_what_is_not_known_has_no_series() -> None:
    found = series(
        GpuHistory(0, None, "nvml", "lost", ()),
        GpuHistory(1, "A10", "nvml", "live", (PARTIAL,)),
        GpuHistory(2, "H100", "nvml", "lost", (FULL,)),
    )
    assert found == {
        ("pentad_gpu_up", "1", "A10", "nvml"): 1,
        ("pentad_gpu_up", "2", "H100", "nvml"): 0,
        ("pentad_gpu_memory_used_bytes", "1", "A10", "nvml"): 2**30,
    }
