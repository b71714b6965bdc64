"""The five figures of the documented `/metrics`, as JSON and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.health.state import ModelState
from gateway.services.tryon.jobs.metrics import JobMetrics
from gateway.telemetry.gpu import GpuSampler

_HELP = {
    "vton_inference_count": "Successful inferences since the start.",
    "vton_inference_latency_ms": "Mean duration of their Inference step.",
    "vton_inference_errors_total": "Runs without a result since the start.",
    "gpu_memory_used_bytes": "Memory of the GPU that the try-on model uses.",
    "gpu_utilization_percent": "Utilisation of GPU 0; 0 where none is read.",
}


class DocumentedMetrics(Collector):
    """Counts since the start of this process."""

    def __init__(self, jobs: JobMetrics, model: ModelState, gpus: GpuSampler) -> None:
        self._model, self._gpus = model, gpus
        self._count, self._milliseconds, self._errors = 0, 0.0, 0
        jobs.watch(self._ran, self._failed)

    def values(self) -> dict[str, int | float]:
        """Return the figures by their documented names."""
        mean = self._milliseconds / self._count if self._count else 0.0
        return {
            "vton_inference_count": self._count,
            "vton_inference_latency_ms": round(mean, 3),
            "vton_inference_errors_total": self._errors,
            "gpu_memory_used_bytes": int(self._model.info.get("gpu_memory_used_bytes") or 0),
            "gpu_utilization_percent": self._utilization(),
        }

    def collect(self) -> Iterator[Metric]:
        """Yield the figures under the same names."""
        for name, value in self.values().items():
            if name.endswith("_total"):
                yield CounterMetricFamily(name.removesuffix("_total"), _HELP[name], value=value)
            else:
                yield GaugeMetricFamily(name, _HELP[name], value=value)

    def _ran(self, milliseconds: float) -> None:
        self._count += 1
        self._milliseconds += milliseconds

    def _failed(self, code: str) -> None:
        if code != "cancelled":  # as somebody wished
            self._errors += 1

    def _utilization(self) -> float:
        newest = self._gpus.history(0, 1)
        if newest.source == "stub" or newest.state != "live" or not newest.samples:
            return 0.0
        return float(newest.samples[-1].gpu_util or 0.0)
