"""Threads for jobs whose memory is bounded. Pure Python."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class BoundedPool:
    """Runs jobs in the order of arrival and refuses what would need too much memory."""

    def __init__(self, name: str, workers: int, max_bytes: int) -> None:
        """Start no thread yet.

        Args:
            name: Of the threads.
            workers: Jobs at the same time.
            max_bytes: Sum of the sizes of jobs that run or wait.
        """
        self._executor = ThreadPoolExecutor(workers, name)
        self._lock = threading.Lock()
        self._free = max_bytes

    def submit(self, size: int, job: Callable[[], None]) -> bool:
        """Queues a job that holds `size` bytes; False when there is no room for it.

        The job must not raise.
        """
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
        try:
            self._executor.submit(self._run, size, job)
        except RuntimeError:  # stopped
            self._release(size)
            return False
        return True

    def stop(self) -> None:
        """Finishes what was queued, then ends the threads."""
        self._executor.shutdown()

    def _run(self, size: int, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            self._release(size)

    def _release(self, size: int) -> None:
        with self._lock:
            self._free += size
