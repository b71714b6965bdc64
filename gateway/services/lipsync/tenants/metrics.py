"""Lip-sync in Prometheus, with a bounded number of labels however many tenants there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.services.lipsync.tenants.views import DeviceRow, TenantRow
from gateway.telemetry.metrics import SECONDS, Metrics

OTHER = "other"


class PoolMetrics:
    """Counters of moves and of inference.

    Args:
        metrics: where they are registered.
        named: tenants with labels of their own: the first that are used. Their counters never
            change hands, so that every series only grows.
    """

    def __init__(self, metrics: Metrics, named: int) -> None:
        registry = metrics.registry
        self.loads = Counter(
            "pentad_lipsync_loads", "Loads of tenants, replacements of weights included.",
            ["device", "outcome"], registry=registry,
        )  # fmt: skip
        self.load_seconds = Histogram(
            "pentad_lipsync_load_seconds", "Time of a load, the import included.",
            ["device"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.unloads = Counter(
            "pentad_lipsync_unloads", "Tenants taken out.",
            ["device", "reason"], registry=registry,
        )  # fmt: skip
        self.calls = Counter(
            "pentad_lipsync_calls", "Answered inference calls.",
            ["device", "tenant"], registry=registry,
        )  # fmt: skip
        self.frames = Counter(
            "pentad_lipsync_frames", "Frames of those calls.",
            ["device", "tenant"], registry=registry,
        )  # fmt: skip
        self.compute_seconds = Counter(
            "pentad_lipsync_inference_seconds", "Computation of those calls.",
            ["device", "tenant"], registry=registry,
        )  # fmt: skip
        self._named = named
        self._labels: dict[str, str] = {}

    def inferred(self, device: int, tenant: str, frames: int, milliseconds: float) -> None:
        """Count one answered call."""
        labels = (str(device), self._label(tenant))
        self.calls.labels(*labels).inc()
        self.frames.labels(*labels).inc(frames)
        self.compute_seconds.labels(*labels).inc(milliseconds / 1000)

    def _label(self, tenant: str) -> str:
        if tenant not in self._labels:
            if len(self._labels) >= self._named or tenant == OTHER:
                return OTHER
            self._labels[tenant] = tenant
        return self._labels[tenant]


class PoolCollector(Collector):
    """What the pool holds at the moment of a scrape."""

    def __init__(
        self,
        devices: Callable[[], Sequence[DeviceRow]],
        tenants: Callable[[], Sequence[TenantRow]],
    ) -> None:
        self._devices = devices
        self._tenants = tenants

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        states = GaugeMetricFamily(
            "pentad_lipsync_tenants", "Configured tenants by state.", labels=["state"]
        )
        counts = dict.fromkeys(("resident", "loading", "idle", "failed"), 0)
        for tenant in self._tenants():
            counts[tenant.state] += 1
        for state, count in counts.items():
            states.add_metric([state], count)
        yield states
        rows = self._devices()
        for name, text, values in (
            ("resident", "Tenants on a device.", [row.resident for row in rows]),
            (
                "resident_bytes", "Measured memory of a device's tenants.",
                [row.resident_bytes for row in rows],
            ),
            (
                "memory_budget_bytes", "Memory for tenants on a device.",
                [row.memory_budget_bytes for row in rows],
            ),
            (
                "memory_used_bytes", "Memory in use on a device's hardware.",
                [row.memory_used_bytes for row in rows],
            ),
            ("in_flight", "Calls in a device's model.", [row.in_flight for row in rows]),
            (
                "waiting", "Calls that wait for a device or a load on it.",
                [row.waiting for row in rows],
            ),
            ("healthy", "1 when the device's canary passes.", [row.healthy for row in rows]),
        ):  # fmt: skip
            family = GaugeMetricFamily(f"pentad_lipsync_device_{name}", text, labels=["device"])
            for row, value in zip(rows, values, strict=True):
                family.add_metric([str(row.device)], value)
            yield family
