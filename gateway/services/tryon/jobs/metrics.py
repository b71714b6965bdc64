"""Prometheus metrics of the jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from gateway.services.tryon.jobs.models import STATES, State

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)
IDLE = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5)
STEPS = ("PrepareInputs", "ResizeImages", "Inference", "CollectResult", "ClearGPUCache")
ENGINES = ("warp", "diffusers", "lightx2v")
CODES = ("input", "pose", "garment", "pipeline", "cancelled", "timeout")
OTHER = "other"  # a user's own step, or what no label is kept for


class JobMetrics:
    """Instruments of dispatcher and delivery worker.

    Attributes:
        counts: jobs by state, as last counted.
        pending: callbacks by destination, as last counted.
        disk: bytes that are free, and bytes that must be for one more job to be accepted.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.inference = Histogram(
            "pentad_tryon_inference_seconds", "Duration of the Inference step.",
            ["engine"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.steps = Histogram(
            "pentad_tryon_step_seconds", "Duration of the workflow's steps.",
            ["step"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.errors = Counter(
            "pentad_tryon_errors", "Runs without a result.", ["code"], registry=registry
        )
        self.idle = Histogram(
            "pentad_tryon_idle_seconds", "Time the model was free although a job waited.",
            buckets=IDLE, registry=registry,
        )  # fmt: skip
        self.callbacks = Counter(
            "pentad_tryon_callbacks", "Attempts of callbacks.",
            ["destination", "outcome"], registry=registry,
        )  # fmt: skip
        self.callback_seconds = Histogram(
            "pentad_tryon_callback_seconds", "Duration of an attempt of a callback.",
            ["destination"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._on_run: list[Callable[[float], None]] = []
        self._on_failure: list[Callable[[str], None]] = []
        self.counts: Mapping[State, int] = {}
        self.pending: Mapping[str, int] = {}
        self.disk: Mapping[str, int] = {}

    def watch(self, on_run: Callable[[float], None], on_failure: Callable[[str], None]) -> None:
        """Call one of two functions after each run, with its ms or the error's code."""
        self._on_run.append(on_run)
        self._on_failure.append(on_failure)

    def ran(self, report: Mapping[str, object]) -> None:
        """Note a successful run by the model's report of it."""
        engine = str(report.get("engine"))
        times = report.get("step_ms")
        for step, ms in times.items() if isinstance(times, Mapping) else ():
            self.steps.labels(step if step in STEPS else OTHER).observe(float(ms) / 1000)
        took = report.get("inference_time_ms")
        if isinstance(took, int | float):
            self.inference.labels(engine if engine in ENGINES else OTHER).observe(took / 1000)
            for tell in self._on_run:
                tell(float(took))

    def failed(self, code: str) -> None:
        """Note a run without a result."""
        self.errors.labels(code if code in CODES else OTHER).inc()
        for tell in self._on_failure:
            tell(code)


class JobCollector(Collector):
    """Gauges of what is in the store."""

    def __init__(self, metrics: JobMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield jobs by state, pending callbacks by destination, and the disk."""
        jobs = GaugeMetricFamily("pentad_tryon_jobs", "Jobs by state.", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], self._metrics.counts.get(state, 0))
        pending = GaugeMetricFamily(
            "pentad_tryon_callbacks_pending", "Callbacks not yet received.", labels=["destination"]
        )
        for destination in ("asset_service", "load_balancer"):
            pending.add_metric([destination], self._metrics.pending.get(destination, 0))
        disk = GaugeMetricFamily(
            "pentad_tryon_disk_bytes",
            "Disk of the jobs: free, and needed for a further job to be accepted.",
            labels=["state"],
        )
        for kind in ("free", "needed"):
            disk.add_metric([kind], self._metrics.disk.get(kind, 0))
        yield from (jobs, pending, disk)
