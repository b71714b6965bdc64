"""Lip-sync in Prometheus, with a bounded number of labels however many tenants there are."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

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
