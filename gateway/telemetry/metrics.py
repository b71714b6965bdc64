"""Prometheus metrics of the gateway, and of Triton as the gateway sees it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Seconds: from a cached health answer to the longest deadline, about x2 a step.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_STAGES = ("queue", "compute_input", "compute_infer", "compute_output")


class Metrics:
    """All instruments; one object per process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "pentad_requests", "Answered requests.",
            ["service", "route", "method", "status"], registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "pentad_request_seconds", "Time from the request's head to the end of its answer.",
            ["service", "route"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "pentad_in_flight", "Requests in work.",
            ["service"], registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.waiting = Gauge(
            "pentad_queue_waiting", "Requests waiting for a slot.",
            ["service"], registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.rejected = Counter(
            "pentad_rejected", "Requests refused before inference.",
            ["service", "reason"], registry=registry,
        )  # fmt: skip
        self.batch_rows = Histogram(
            "pentad_batch_rows", "Rows (texts, pairs, images) of a request, chunk by chunk.",
            ["model"], buckets=ROWS, registry=registry,
        )  # fmt: skip
        self.ready = Gauge(
            "pentad_service_ready", "1 when the service's canaries pass.",
            ["service"], registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self.canary_seconds = Gauge(
            "pentad_canary_seconds", "Duration of the last successful canary inference.",
            ["model"], registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self.call_limits = Gauge(
            "pentad_network_call",
            "How a model calls its network: most rows, padded tokens, calls in flight.",
            ["model", "network", "limit"], registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self.reloads = Counter(
            "pentad_model_reloads", "Reloads of a failing model.", ["model"], registry=registry
        )
        self.retries = Counter(
            "pentad_inference_retries", "Inferences asked again after a process had ended.",
            ["model", "cause"], registry=registry,
        )  # fmt: skip
        self.cached_texts = Counter(
            "pentad_embedding_cache_texts", "Texts looked up in the cache of embeddings.",
            ["model", "outcome"], registry=registry,
        )  # fmt: skip
        self.cached_bytes = Gauge(
            "pentad_embedding_cache_bytes", "Memory of the cache of embeddings.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.first_token = Histogram(
            "pentad_first_token_seconds", "Time to the first piece of a streamed answer.",
            ["model"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.connections = Gauge(
            "pentad_connections", "Open connections of an HTTP port.",
            ["port"], registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.connections_ended = Counter(
            "pentad_connections_ended", "Connections that the gateway refused or gave up.",
            ["port", "reason"], registry=registry,
        )  # fmt: skip
        self._extra: list[Collector] = []
        self._rows: dict[str, Histogram] = {}
        self._answered: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, service: str, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        key = (service, route, method, status)
        if key not in self._answered:
            counter = self.requests.labels(service, route, method, str(status))
            self._answered[key] = counter, self.seconds.labels(service, route)
        counter, histogram = self._answered[key]
        counter.inc()
        histogram.observe(seconds)

    def rows(self, model: str, count: int) -> None:
        """Note the rows that one request sends to a model."""
        if model not in self._rows:
            self._rows[model] = self.batch_rows.labels(model)
        self._rows[model].observe(count)

    def canary(self, model: str, seconds: float, info: Mapping[str, Any]) -> None:
        """Note a canary that passed, and what its model tells of itself."""
        self.canary_seconds.labels(model).set(seconds)
        for network, limits in dict(info.get("calls") or {}).items():
            for limit in ("rows", "tokens", "in_flight"):
                self.call_limits.labels(model, network, limit).set(limits[limit])

    def admission(self, service: str) -> tuple[Callable[[str], None], Callable[[int, int], None]]:
        """Return the two callbacks by which an admission reports."""
        in_flight, waiting = self.in_flight.labels(service), self.waiting.labels(service)

        def changed(working: int, queued: int) -> None:
            in_flight.set(working)
            waiting.set(queued)

        return (lambda reason: self.rejected.labels(service, reason).inc()), changed

    def add(self, collector: Collector) -> None:
        """Export what a collector reports as well."""
        self._extra.append(collector)
        self.registry.register(collector)

    def render(self) -> bytes:
        """Return the exposition text; with several workers the sum over all of them."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for collector in self._extra:
            registry.register(collector)
        return generate_latest(registry)


class TritonCollector(Collector):
    """Triton's own statistics, as last read by the health monitor, and shared memory in use."""

    def __init__(self, shared_memory: str = "/dev/shm") -> None:  # noqa: S108 - not a temp file
        self.statistics: list[dict[str, Any]] = []
        self._shared_memory = shared_memory

    def collect(self) -> Iterator[Metric]:
        """Yield the counters of every model."""
        requests = CounterMetricFamily(
            "pentad_triton_requests", "Requests per model, as Triton counts.",
            labels=["model", "outcome"],
        )  # fmt: skip
        seconds = CounterMetricFamily(
            "pentad_triton_seconds", "Time spent per model and stage.", labels=["model", "stage"]
        )
        batches = CounterMetricFamily(
            "pentad_triton_batches", "Executions per model and batch size.",
            labels=["model", "batch_size"],
        )  # fmt: skip
        for model in self.statistics:
            name, stats = model["name"], model.get("inference_stats", {})
            for outcome in ("success", "fail", "cancel"):
                requests.add_metric([name, outcome], int(stats.get(outcome, {}).get("count", 0)))
            for stage in _STAGES:
                seconds.add_metric([name, stage], int(stats.get(stage, {}).get("ns", 0)) / 1e9)
            for batch in model.get("batch_stats", []):
                count = int(batch.get("compute_infer", {}).get("count", 0))
                batches.add_metric([name, str(batch.get("batch_size", 0))], count)
        yield from (requests, seconds, batches, self._memory())

    def _memory(self) -> Metric:
        family = GaugeMetricFamily(
            "pentad_shm_bytes", "Shared memory of this machine.", labels=["state"]
        )
        try:
            info = os.statvfs(self._shared_memory)
        except OSError:
            return family
        family.add_metric(["total"], info.f_blocks * info.f_frsize)
        family.add_metric(["used"], (info.f_blocks - info.f_bfree) * info.f_frsize)
        return family


class MemberCollector(Collector):
    """Exports the state of every Triton behind this gateway.

    Args:
        serving: returns by address whether it gets work, as :meth:`TritonPool.serving`.
    """

    def __init__(self, serving: Callable[[], Mapping[str, bool]]) -> None:
        self._serving = serving

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        up = GaugeMetricFamily(
            "pentad_triton_up",
            "1 while a Triton of several answers, has every model and gets work.",
            labels=["address"],
        )
        for address, serves in self._serving().items():
            up.add_metric([address], float(serves))
        yield up
