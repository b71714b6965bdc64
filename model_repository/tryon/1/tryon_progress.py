"""Progress, cancellation and deadline of one job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tryon_errors import JobCancelledError, JobTimeoutError


class JobWatch:
    """Tells how far a job is and ends it when nobody waits for it any more."""

    def __init__(
        self,
        tell: Callable[[dict[str, Any]], None],
        is_cancelled: Callable[[], bool],
        deadline: float | None = None,
    ) -> None:
        """Watches one job.

        Args:
            tell: Called with {"step", "fraction", "engine_step", "engine_steps"}.
            is_cancelled: Whether the client has gone.
            deadline: Time of `time.monotonic`; None is none.
        """
        self._tell = tell
        self._is_cancelled = is_cancelled
        self._deadline = deadline
        self._step, self._start, self._share = "", 0.0, 0.0
        self._part, self._parts = 0, 1

    def check(self) -> None:
        """Call it often.

        Raises:
            JobCancelledError: The client has gone.
            JobTimeoutError: The deadline is over.
        """
        if self._is_cancelled():
            raise JobCancelledError
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise JobTimeoutError

    def enter(self, step: str, start: float, share: float) -> None:
        """Begin a step at fraction `start` of the job; it takes `share` of it."""
        self._step, self._start, self._share = step, start, share
        self._part, self._parts = 0, 1
        self._report(start, None, None)

    def enter_part(self, part: int, parts: int) -> None:
        """Begin part `part` (from 0) of `parts` equal ones of the current step.

        Raises:
            JobCancelledError: The client has gone.
            JobTimeoutError: The deadline is over.
        """
        self.check()
        self._part, self._parts = part, parts
        if part:
            self._report(self._start + self._share * part / parts, None, None)

    def engine_step(self, done: int, total: int) -> None:
        """`done` of `total` steps inside the current step, or its part, are finished.

        Raises:
            JobCancelledError: The client has gone.
            JobTimeoutError: The deadline is over.
        """
        self.check()
        share = (self._part + done / total) / self._parts
        self._report(self._start + self._share * share, done, total)

    def _report(self, fraction: float, done: int | None, total: int | None) -> None:
        self._tell(
            {
                "step": self._step,
                "fraction": round(fraction, 4),
                "engine_step": done,
                "engine_steps": total,
            }
        )
