"""The node's one model: who has it, and what its idleness costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.admission import Admission


class Slot(Admission):
    """One place that queued jobs and direct requests share; as an admission for the overview.

    Attributes:
        gate: held while somebody decides who is next.
        current: id of what is in work, None when the model is free.
        queued: jobs that wait on this node, as last counted.
        freed: monotonic time since which the model has been free.
    """

    def __init__(
        self, on_reject: Callable[[str], None], on_change: Callable[[int, int], None]
    ) -> None:
        super().__init__(1, 0, 0.0, on_reject, on_change)
        self.gate = asyncio.Lock()
        self.current: str | None = None
        self.queued = 0
        self.freed = time.monotonic()

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return self.queued

    def take(self, identifier: str) -> None:
        """Note who has the model; call it under ``gate`` while nobody has."""
        self.current, self.in_flight = identifier, 1
        self.changed()

    def free(self) -> None:
        """Note that nobody has the model any more."""
        self.current, self.in_flight = None, 0
        self.freed = time.monotonic()
        self.changed()

    def reject(self, reason: str) -> None:
        """Count a refusal."""
        self._on_reject(reason)

    def changed(self) -> None:
        """Export the numbers."""
        self._on_change(self.in_flight, self.waiting)
