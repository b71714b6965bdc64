"""Enrollments on their way: pictures searched side by side, crops embedded in shared batches.

Pure Python and numpy, no Triton. A *job* is one request.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from faces.search import SearchResult
from numpy.typing import NDArray
from row_batches import RowBatches


@dataclass(eq=False)
class Job:
    """One request; `answer` or `refuse` is called, once, by a worker.

    Attributes:
        images: Encoded pictures, at least one.
        search: Encoded picture, and whether it makes the thumbnail, to what it holds.
        portrait: Place of the picture that the thumbnail is made of, if one is.
        embedded: Whether the crops are wanted as embeddings.
        answer: Receives the job when everything is known.
        refuse: Receives the reason when something failed.
        is_cancelled: Whether the client has gone; a round trip to the server.
        results: What each picture holds, once it is known.
        embeddings: FP32 [crops, dimensions] of each picture that counts, once they are known.
        arrived: Monotonic time in seconds.
    """

    images: Sequence[bytes]
    search: Callable[[bytes, bool], SearchResult]
    portrait: int | None
    embedded: bool
    answer: Callable[[Job], None]
    refuse: Callable[[Exception], None]
    is_cancelled: Callable[[], bool]
    arrived: float = field(default_factory=time.monotonic)
    failed: bool = False

    def __post_init__(self) -> None:
        self.results: list[SearchResult] = [SearchResult()] * len(self.images)
        self.embeddings: list[NDArray[Any] | None] = [None] * len(self.images)
        self._lock = threading.Lock()
        self._open = len(self.images)

    def fail(self, error: Exception) -> None:
        """Hands the reason over, the first one only."""
        with self._lock:
            if self.failed:
                return
            self.failed = True
        # An answer that cannot be sent any more must not end the worker.
        with contextlib.suppress(Exception):
            self.refuse(error)

    def close(self) -> bool:
        """Count one picture as done; whether it was the last one."""
        with self._lock:
            self._open -= 1
            return not self._open

    def finish(self) -> None:
        """Hands the job over unless something failed."""
        if self.failed:
            return
        try:
            self.answer(self)
        except Exception as error:
            self.fail(error)


class CancelledError(Exception):
    """The client has gone."""


class Enroller:
    """Threads that search pictures, before their crops are embedded in batches."""

    def __init__(
        self,
        batches: RowBatches[NDArray[Any]],
        *,
        searchers: int,
        max_waiting_bytes: int,
        is_large: Callable[[bytes], bool] = lambda _: False,
        cancel_check_seconds: float = 0.25,
    ) -> None:
        """Start the threads.

        Args:
            batches: Where crops go.
            searchers: Pictures searched at the same time, beside one large one.
            max_waiting_bytes: Encoded bytes of all unanswered jobs; more are refused.
            is_large: Whether a picture takes long to decode; by its header.
            cancel_check_seconds: Age from which a job is asked whether it was cancelled.
        """
        self._batches = batches
        self._max_waiting_bytes = max_waiting_bytes
        self._cancel_check_seconds = cancel_check_seconds
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._is_large = is_large
        self._threads = ThreadPoolExecutor(searchers, "search")
        # Where large pictures wait for each other while small ones pass.
        self._large = ThreadPoolExecutor(1, "search-large")

    def submit(self, job: Job) -> bool:
        """Queues a job; False when too much waits already (the job is not answered then)."""
        size = sum(map(len, job.images))
        with self._lock:
            if self._waiting_bytes + size > self._max_waiting_bytes:
                return False
            self._waiting_bytes += size
        for place in range(len(job.images)):
            self._threads.submit(self._sort, job, place)
        return True

    def stop(self) -> None:
        """Finishes what waits, then ends the threads."""
        self._threads.shutdown()
        self._large.shutdown()
        self._batches.stop()

    def _sort(self, job: Job, place: int) -> None:
        if not job.failed and self._is_large(job.images[place]):
            self._large.submit(self._work, job, place)
        else:
            self._work(job, place)

    def _work(self, job: Job, place: int) -> None:
        try:
            if not job.failed:  # by another of its pictures
                self._check(job)
                result = job.search(job.images[place], place == job.portrait)
                job.results[place] = result
                if job.embedded and result.crops is not None:
                    future = self._batches.submit(list(result.crops))
                    future.add_done_callback(partial(self._embedded, job, place))
                    return
        except Exception as error:
            job.fail(error)
        self._close(job)

    def _check(self, job: Job) -> None:
        if time.monotonic() - job.arrived > self._cancel_check_seconds and job.is_cancelled():
            raise CancelledError

    def _embedded(self, job: Job, place: int, future: Future[list[NDArray[Any]]]) -> None:
        error = future.exception()
        if error is None:
            job.embeddings[place] = np.stack(future.result())
        else:
            job.fail(RuntimeError(str(error)))
        self._close(job)

    def _close(self, job: Job) -> None:
        if not job.close():
            return
        with self._lock:
            self._waiting_bytes -= sum(map(len, job.images))
        job.finish()
