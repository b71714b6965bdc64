"""One Triton of several, as the pool sees it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.triton.client import TritonClient

FAILURES = 3  # missed deadlines or errors in a row after which others are preferred
REST_SECONDS = 30.0  # for so long, twice as long each time, as each rest ends at a client's cost
LONGEST_REST = 600.0


@dataclass(eq=False)
class Member:
    """A server and what is known of it.

    Attributes:
        address: host:port.
        live: whether it answered when last asked, and no call has failed to reach it since.
        leaving: whether its name has left it; it gets work only where no other can do it.
        ready: models it has loaded, as last read.
        broken: models whose process died there, until they are loaded again.
    """

    address: str
    client: TritonClient
    live: bool = False
    leaving: bool = False
    ready: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    busy: int = 0
    _failed: int = 0
    _rests: int = 0
    _rests_until: float = 0.0

    def serves(self, models: Collection[str]) -> bool:
        """Whether it is live and has all these models, unbroken."""
        return self.live and self.ready.issuperset(models) and not self.broken

    def succeeded(self) -> None:
        """Note an inference that worked."""
        self._failed = self._rests = 0
        self._rests_until = 0.0

    def failed(self) -> None:
        """Note an inference that was too late or went wrong.

        A member that hangs, or whose card is broken, gets no work for a while. What comes after
        its rest decides whether it rests again.
        """
        if self.rests:
            return  # begun before the rest
        self._failed += 1
        if self._failed >= FAILURES:
            self._failed = FAILURES - 1
            rest = min(REST_SECONDS * 2**self._rests, LONGEST_REST)
            self._rests_until, self._rests = time.monotonic() + rest, self._rests + 1

    @property
    def rests(self) -> bool:
        """Whether others are preferred."""
        return time.monotonic() < self._rests_until

    @property
    def load(self) -> tuple[bool, bool, int]:
        """What to choose by: the smallest is best."""
        return (self.rests, self.leaving, self.busy)
