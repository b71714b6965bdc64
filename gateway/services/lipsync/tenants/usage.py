"""What each tenant has done since the gateway started, resident or not."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.services.lipsync.tenants.eviction import Frequency

FAILURE_SECONDS = 5.0  # in which a load that failed is not tried again for every request


@dataclass
class Usage:
    """Counters of one tenant; moments are monotonic seconds.

    Attributes:
        calls: answered.
        frames: answered.
        inference_ms: computation of those calls.
        last_used: None before the first call.
        frequency: of calls, aged.
        graph: hash of the graph it had last.
        memory_bytes: it had last on one device; the expectation of the next load.
        error: why the last load failed.
        failed: when it did.
    """

    calls: int = 0
    frames: int = 0
    inference_ms: float = 0.0
    last_used: float | None = None
    frequency: Frequency = field(default_factory=Frequency)
    graph: str = ""
    memory_bytes: int = 0
    error: str | None = None
    failed: float = 0.0


class UsageStats:
    """The usage of all tenants.

    Args:
        half_life: of a use, in seconds.
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self._usages: dict[str, Usage] = {}

    def of(self, tenant: str) -> Usage:
        """Return a tenant's usage, to be changed in place."""
        return self._usages.setdefault(tenant, Usage())

    def forget(self, tenants: frozenset[str]) -> None:
        """Drop tenants that are gone; their ids may come back as others'."""
        for tenant in tenants:
            self._usages.pop(tenant, None)

    def used(self, tenant: str, frames: int, milliseconds: float, now: float) -> None:
        """Count one answered call."""
        usage = self.of(tenant)
        usage.calls += 1
        usage.frames += frames
        usage.inference_ms += milliseconds
        usage.last_used = now
        usage.frequency = usage.frequency.used(now, self.half_life)

    def loaded(self, tenant: str, memory_bytes: int, graph: str) -> None:
        """Note a load that worked."""
        usage = self.of(tenant)
        usage.memory_bytes, usage.graph, usage.error = memory_bytes, graph, None

    def failed(self, tenant: str, cause: str, now: float) -> None:
        """Note a load that did not."""
        usage = self.of(tenant)
        usage.error, usage.failed = cause, now

    def recent_failure(self, tenant: str, now: float) -> str | None:
        """Return why a load failed a moment ago, or None."""
        usage = self._usages.get(tenant)
        if usage is None or usage.error is None or now - usage.failed >= FAILURE_SECONDS:
            return None
        return usage.error

    def expected_bytes(self, tenant: str) -> int:
        """Return the memory a load is expected to take: its own last, else the most of any."""
        usage = self._usages.get(tenant)
        if usage and usage.memory_bytes:
            return usage.memory_bytes
        return max((one.memory_bytes for one in self._usages.values()), default=0)
