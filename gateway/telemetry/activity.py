"""The last minute of every service: rate, errors, latency percentiles, recent errors.

Prometheus keeps the history; this is for people who look at the dashboard now.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WINDOW = 60  # seconds
RECENT = 20  # errors kept per service
GROWTH = 1.1  # upper bound of a latency bucket over its lower one: percentiles are 10 % coarse
MAX_DETAIL = 300  # characters
_LOG_GROWTH = math.log(GROWTH)
_UNSAID = (401, 499)  # strangers and impatient clients are no news of the service


@dataclass
class _Second:
    number: int = -1
    errors: int = 0
    latencies: Counter[int] = field(default_factory=Counter)


class Activity:
    """Counts answered inference requests; cheap enough for every request.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seconds: defaultdict[str, list[_Second]] = defaultdict(
            lambda: [_Second() for _ in range(WINDOW)]
        )
        self._recent: defaultdict[str, deque[dict[str, Any]]] = defaultdict(
            lambda: deque(maxlen=RECENT)
        )

    def answered(
        self, service: str, route: str, status: int, seconds: float, detail: object
    ) -> None:
        """Note one answered request.

        Args:
            service: which service answered.
            route: its path pattern.
            status: HTTP status.
            seconds: duration.
            detail: what the client read, when it is an error.
        """
        number = int(self._clock())
        second = self._seconds[service][number % WINDOW]
        if second.number != number:
            second.number, second.errors = number, 0
            second.latencies.clear()
        second.latencies[math.floor(math.log(max(seconds, 1e-6)) / _LOG_GROWTH)] += 1
        if status < 400 or status in _UNSAID:
            return
        second.errors += 1
        error = {"time": time.time(), "route": route, "status": status, "detail": _words(detail)}
        self._recent[service].appendleft(error)

    def summary(self, service: str) -> dict[str, Any]:
        """Return rates per second, p50 and p95 in ms (None without requests), recent errors."""
        now = self._clock()
        oldest = int(now) - WINDOW
        latencies: Counter[int] = Counter()
        errors = 0
        for second in self._seconds[service]:
            if second.number > oldest:
                latencies.update(second.latencies)
                errors += second.errors
        span = min(WINDOW, max(1.0, now - self._began))
        return {
            "requests_per_second": round(latencies.total() / span, 3),
            "errors_per_second": round(errors / span, 3),
            "p50_ms": _percentile(latencies, 0.50),
            "p95_ms": _percentile(latencies, 0.95),
            "recent_errors": list(self._recent[service]),
        }


def _percentile(latencies: Counter[int], share: float) -> float | None:
    """Return the nearest-rank percentile in ms, as the middle of its bucket."""
    rank = math.ceil(share * latencies.total())
    for bucket in sorted(latencies):
        rank -= latencies[bucket]
        if rank <= 0:
            return round(math.exp((bucket + 0.5) * _LOG_GROWTH) * 1000, 2)
    return None


def _words(detail: object) -> str:
    """Return a detail in one line, without the values that a client sent."""
    if isinstance(detail, list):
        items = [item for item in detail if isinstance(item, dict)]
        detail = "; ".join(
            f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg', '')}" for item in items
        )
    return str(detail or "")[:MAX_DETAIL]
