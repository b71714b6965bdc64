"""One Triton of several, as the pool sees it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.triton.client import TritonClient

LATE_CALLS = 3  # missed deadlines in a row after which others are preferred
REST_SECONDS = 30.0  # for so long


@dataclass(eq=False)
class Member:
    """A server and what is known of it.

    Attributes:
        address: host:port.
        live: whether it answered when last asked, and no call has failed to reach it since.
        ready: models it has loaded, as last read.
        broken: models whose process died there, until they are loaded again.
        busy: inferences under way through this gateway.
    """

    address: str
    client: TritonClient
    live: bool = False
    ready: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    busy: int = 0
    _late: int = 0
    _rests_until: float = 0.0

    def serves(self, models: Collection[str]) -> bool:
        """Whether it is live and has all these models, unbroken."""
        return self.live and self.ready.issuperset(models) and not self.broken

    def succeeded(self) -> None:
        """Note an inference that worked."""
        self._late = 0

    def missed_a_deadline(self) -> None:
        """Note an inference that took too long; a member that hangs gets no work for a while."""
        self._late += 1
        if self._late >= LATE_CALLS:
            self._late = 0
            self._rests_until = time.monotonic() + REST_SECONDS

    @property
    def load(self) -> tuple[bool, int]:
        """What to choose by: the smallest is best."""
        return (time.monotonic() < self._rests_until, self.busy)
