"""Rows on their way through a network, in batches over all requests.

Pure Python and numpy, no Triton. A batch takes the rows that wait when the network is free,
whatever requests they belong to.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")


class _Waiting(Generic[Result]):
    """Rows that belong together; their results are put together as batches bring them."""

    def __init__(self, rows: Sequence[NDArray[Any]]) -> None:
        self.rows = rows
        self.results: dict[int, Result] = {}
        self.failed = False
        self.future: Future[list[Result]] = Future()


class RowBatches(Generic[Result]):
    """Threads that run batches."""

    def __init__(
        self,
        run: Callable[[NDArray[Any]], Sequence[Result]],
        name: str,
        *,
        batches: int,
        batch_rows: int,
    ) -> None:
        """Start the threads.

        Args:
            run: An array of rows to the result of each.
            name: Of the threads.
            batches: Batches in the network at the same time.
            batch_rows: Most rows in a batch.
        """
        self._run = run
        self._batch_rows = batch_rows
        self._arrived = threading.Condition()
        self._rows: deque[tuple[_Waiting[Result], int]] = deque()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(batches)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, rows: Sequence[NDArray[Any]]) -> Future[list[Result]]:
        """Queues rows, at least one, all of one shape; returns their future results."""
        waiting = _Waiting[Result](rows)
        with self._arrived:
            self._rows.extend((waiting, place) for place in range(len(rows)))
            self._arrived.notify(len(rows))
        return waiting.future

    def stop(self) -> None:
        """Finishes what waits, then ends the threads."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                results = self._run(np.stack([waiting.rows[at] for waiting, at in batch]))
                if len(results) != len(batch):
                    raise RuntimeError(f"{len(results)} results of {len(batch)} rows")
            except Exception as error:
                for waiting in {waiting for waiting, _ in batch}:
                    self._fail(waiting, error)
                continue
            for (waiting, at), result in zip(batch, results, strict=True):
                self._deliver(waiting, at, result)

    def _next_batch(self) -> list[tuple[_Waiting[Result], int]]:
        with self._arrived:
            while not self._rows:
                if self._stopping:
                    return []
                self._arrived.wait()
            count = min(len(self._rows), self._batch_rows)
            return [self._rows.popleft() for _ in range(count)]

    def _deliver(self, waiting: _Waiting[Result], at: int, result: Result) -> None:
        with self._arrived:
            waiting.results[at] = result
            complete = len(waiting.results) == len(waiting.rows)
        if complete:
            waiting.future.set_result([waiting.results[at] for at in range(len(waiting.rows))])

    def _fail(self, waiting: _Waiting[Result], error: Exception) -> None:
        with self._arrived:
            failed, waiting.failed = waiting.failed, True
        if not failed:
            waiting.future.set_exception(error)
