"""Which Tritons of several serve, as Prometheus gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


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
