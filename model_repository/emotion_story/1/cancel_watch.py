"""Looks after jobs that run elsewhere: who waits for them? Pure Python."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PERIOD = 0.25
"""Seconds between two looks at a job."""


class CancelWatch:
    """Cancels jobs whose clients have gone.

    Triton does not pass a cancellation on to the requests that a model makes, so the model that
    does the work is told by another request.
    """

    def __init__(self, cancel: Callable[[str], None]) -> None:
        """Start the thread.

        Args:
            cancel: Tells where the job runs that it is cancelled; called once a job.
        """
        self._cancel = cancel
        self._jobs: dict[str, Callable[[], bool]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cancel-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def watched(self, is_cancelled: Callable[[], bool]) -> Iterator[str]:
        """Yield the name of a job and watch it until the block ends."""
        job = uuid.uuid4().hex
        with self._lock:
            self._jobs[job] = is_cancelled
        try:
            yield job
        finally:
            with self._lock:
                self._jobs.pop(job, None)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopping.wait(PERIOD):
            with self._lock:
                jobs = list(self._jobs.items())
            for job, is_cancelled in jobs:
                if is_cancelled():
                    with self._lock:
                        self._jobs.pop(job, None)
                    self._cancel(job)
