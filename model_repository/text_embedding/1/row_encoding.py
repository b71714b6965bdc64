"""Runs the rows of a queue through an encoder. Pure Python and numpy, no Triton."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from text_rows import Job, Row, RowQueue


class RowEncoding:
    """Worker threads that take chunks from a queue, run the encoder and close jobs."""

    def __init__(
        self,
        queue: RowQueue,
        encode: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
        *,
        pad_token_id: int,
        workers: int,
        max_waiting: int,
        cancel_check_seconds: float = 0.25,
    ) -> None:
        """Start the workers.

        Args:
            queue: Empty queue; only this object touches it from now on.
            encode: Runs the network: INT64 ids and mask [rows, length] to FP32 [rows, ...].
            pad_token_id: Fills short rows.
            workers: Chunks in the encoder at once; its number of instances.
            max_waiting: Rows that may wait; more are refused.
            cancel_check_seconds: Age from which a job is asked whether it was cancelled; asking
                is a round trip to the server, most jobs are done before.
        """
        self._queue = queue
        self._encode = encode
        self._pad_token_id = pad_token_id
        self._max_waiting = max_waiting
        self._cancel_check_seconds = cancel_check_seconds
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"encoding-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, encoded: Mapping[Hashable, Sequence[int]]) -> bool:
        """Queues a job; False when too much waits already (the job is not closed then)."""
        with self._changed:
            if self._stopping or len(self._queue) + len(encoded) > self._max_waiting:
                return False
            self._queue.add(job, encoded)
            self._changed.notify()
            return True

    def stop(self) -> None:
        """Finishes what waits, then ends the workers."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while chunk := self._next_chunk():
            ids, mask = pad([row.ids for row in chunk], self._pad_token_id)
            try:
                values = list(zip(chunk, self._encode(ids, mask), strict=True))
            except Exception as error:
                self._fail(chunk, str(error))
            else:
                self._deliver(values)

    def _next_chunk(self) -> list[Row]:
        with self._changed:
            while True:
                self._drop_cancelled()
                if chunk := self._queue.take():
                    if len(self._queue):  # one worker wakes the next: mostly one is enough
                        self._changed.notify()
                    return chunk
                if self._stopping:
                    return []
                self._changed.wait()

    def _drop_cancelled(self) -> None:
        while (job := self._queue.head()) is not None:
            if (
                time.monotonic() - job.arrived < self._cancel_check_seconds
                or not job.is_cancelled()
            ):
                return
            self._queue.drop(job)
            _refuse(job, "cancelled")

    def _deliver(self, values: list[tuple[Row, NDArray[Any]]]) -> None:
        finished = []
        with self._changed:
            for row, value in values:
                row.value = value[: len(row.ids)] if value.ndim == 2 else value
                for job in row.jobs:
                    job.open_rows -= 1
                    if job.open_rows == 0 and not job.closed:
                        job.closed = True
                        finished.append(job)
                row.jobs.clear()
        for job in finished:
            _close(job)

    def _fail(self, chunk: list[Row], message: str) -> None:
        with self._changed:
            failed = {job for row in chunk for job in row.jobs if not job.closed}
            for job in failed:
                self._queue.drop(job)
        for job in failed:
            _refuse(job, message)


def pad(rows: Sequence[Sequence[int]], pad_token_id: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Token ids as one rectangle.

    Args:
        rows: Token ids, at least one row.
        pad_token_id: Fills short rows.

    Returns:
        Ids and attention mask, INT64 [rows, longest row].
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_token_id, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return ids, mask.astype(np.int64)


def _close(job: Job) -> None:
    try:
        job.answer({row.text: row for row in job.rows})
    except Exception as error:
        _refuse(job, str(error))
    # Without this cycle the request's shared memory is given back now, not at some collection.
    job.rows.clear()


def _refuse(job: Job, message: str) -> None:
    # An answer that cannot be sent any more must not end the worker.
    with contextlib.suppress(Exception):
        job.refuse(message)
    job.rows.clear()
