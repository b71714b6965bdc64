"""Judge a load test's figures against ``thresholds.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LIMITS = ("max_error_rate", "max_rejected_rate", "max_p95_ms", "min_rps", "min_requests")


@dataclass(frozen=True)
class Figures:
    """What was measured for one kind of request."""

    requests: int
    failures: int
    rejected: int
    """Answers 503 and 429: the server said no in time, which is not a failure."""
    p95_ms: float
    rps: float

    def value(self, limit: str) -> float:
        """Return the measured value that a limit of ``LIMITS`` is about."""
        share = 1 / self.requests if self.requests else 0.0
        return {
            "max_error_rate": self.failures * share,
            "max_rejected_rate": self.rejected * share,
            "max_p95_ms": self.p95_ms,
            "min_rps": self.rps,
            "min_requests": self.requests,
        }[limit]


def violations(
    limits: Mapping[str, Mapping[str, float]], measured: Mapping[str, Figures]
) -> list[str]:
    """Return one sentence per broken limit; a kind that was never measured is broken too.

    Raises:
        ValueError: the thresholds name a limit that does not exist.
    """
    broken = []
    for name, wanted in limits.items():
        unknown = set(wanted) - set(LIMITS)
        if unknown:
            raise ValueError(f"{name}: unknown limit {', '.join(sorted(unknown))}")
        figures = measured.get(name)
        if figures is None or not figures.requests:
            broken.append(f"{name}: no request was made")
            continue
        for limit, bound in wanted.items():
            value = figures.value(limit)
            # Written so that NaN breaks the limit.
            kept = value >= bound if limit.startswith("min_") else value <= bound
            if not kept:
                broken.append(f"{name}: {limit} is {bound:g}, measured {value:.4g}")
    return broken
