"""Continuous batching of texts for an encoder: which rows go through the network together, when.

Pure Python, no Triton. `bertscore` uses the same module (a link), so that both treat long and
short requests alike.

A *job* is one request; its distinct texts become *rows*. Every chunk is chosen anew when the
encoder is free, so a request that arrives waits for the chunks being computed, never for the
rest of somebody else's hundred texts.
"""

from __future__ import annotations

import heapq
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SECONDS_PER_TOKEN = 0.005
"""How far one token of a job moves its turn back. A job of 32 long texts (8,000 tokens) lets jobs
of up to 40 s later pass at most: small jobs overtake big ones, and no job starves."""


class Row:
    """One distinct text in the queue.

    Attributes:
        text: What was encoded.
        ids: Token ids with specials.
        jobs: Jobs that wait for it.
        value: The encoder's output for it once `done`.
    """

    __slots__ = ("ids", "jobs", "number", "taken", "text", "value")

    def __init__(self, text: str, ids: Sequence[int], number: int) -> None:
        self.text = text
        self.ids = ids
        self.number = number
        self.jobs: list[Job] = []
        self.taken = False
        self.value: Any = None

    @property
    def place(self) -> tuple[int, int]:
        """Position among waiting rows: by length, then by age."""
        return len(self.ids), self.number


class Job:
    """One request. Subclasses say how it ends; both ways are called at most once, by a worker.

    Attributes:
        rows: Its distinct rows, in order of length once queued.
        arrived: Monotonic time in seconds.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.arrived = time.monotonic()
        self.open_rows = 0
        self.closed = False

    def finish(self) -> None:
        """Called when every row has its value."""
        raise NotImplementedError

    def fail(self, message: str) -> None:
        """Called instead of `finish` when a row cannot be encoded."""
        raise NotImplementedError

    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return False


class RowQueue:
    """Waiting rows by length, waiting jobs by turn. Not thread-safe: `Encoding` locks it."""

    def __init__(self, max_rows: int, max_tokens: int) -> None:
        """Creates an empty queue.

        Args:
            max_rows: Most rows in a chunk.
            max_tokens: Most tokens in a chunk, padding included, unless a single row has more.
        """
        self.max_rows = max_rows
        self.max_tokens = max_tokens
        self._by_length: list[tuple[int, int, Row]] = []
        self._by_text: dict[str, Row] = {}
        self._turns: list[tuple[float, int, Job]] = []
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._by_length)

    def add(self, job: Job, encoded: dict[str, Sequence[int]]) -> None:
        """Queues the texts of `job`; one that already waits for another job is shared.

        Args:
            job: The request.
            encoded: Token ids of its distinct texts.
        """
        for text, ids in encoded.items():
            row = self._by_text.get(text)
            if row is None:
                self._numbers += 1
                row = self._by_text[text] = Row(text, ids, self._numbers)
                insort(self._by_length, (*row.place, row))
            row.jobs.append(job)
            job.rows.append(row)
        job.rows.sort(key=lambda row: row.place)
        job.open_rows = len(job.rows)
        tokens = sum(len(row.ids) for row in job.rows)
        self._numbers += 1
        turn = job.arrived + SECONDS_PER_TOKEN * tokens
        heapq.heappush(self._turns, (turn, self._numbers, job))

    def take(self) -> list[Row]:
        """The next chunk: the shortest row of the job whose turn it is, and its neighbours.

        Returns:
            Rows of similar length in ascending order; empty when nothing waits.
        """
        job = self.head()
        if job is None:
            return []
        first = next(row for row in job.rows if not row.taken)
        start = bisect_left(self._by_length, first.place)
        end = start + 1
        while end - start < self.max_rows:
            # Longer neighbours raise the padded length of all; shorter ones cost their padding.
            longest = self._by_length[end - 1][0]
            longer = self._by_length[end][0] if end < len(self._by_length) else None
            shorter = self._by_length[start - 1][0] if start > 0 else None
            rows = end - start + 1
            if longer is not None and longer * rows > self.max_tokens:
                longer = None
            if shorter is not None and longest * rows > self.max_tokens:
                shorter = None
            if longer is None and shorter is None:
                break
            grow = longer is not None and (
                shorter is None or (longer - longest) * rows <= longest - shorter
            )
            start, end = (start, end + 1) if grow else (start - 1, end)
        chunk = [entry[2] for entry in self._by_length[start:end]]
        del self._by_length[start:end]
        for row in chunk:
            row.taken = True
            del self._by_text[row.text]
        return chunk

    def drop(self, job: Job) -> None:
        """Forgets a job that failed or was cancelled, and rows that nobody else waits for."""
        job.closed = True
        for row in job.rows:
            if not row.taken and all(other.closed for other in row.jobs):
                start = bisect_left(self._by_length, row.place)
                del self._by_length[start]
                del self._by_text[row.text]
                row.taken = True

    def head(self) -> Job | None:
        """The job whose turn it is, None when no row waits."""
        while self._turns:
            job = self._turns[0][2]
            if not job.closed and any(not row.taken for row in job.rows):
                return job
            heapq.heappop(self._turns)
        return None


class Encoding:
    """Worker threads that take chunks from a queue, run the encoder and close jobs."""

    def __init__(
        self,
        queue: RowQueue,
        encode: Callable[[np.ndarray, np.ndarray], np.ndarray],
        *,
        pad_token_id: int,
        workers: int,
        max_waiting: int,
        cancel_check_seconds: float = 0.05,
    ) -> None:
        """Starts the workers.

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

    def submit(self, job: Job, encoded: dict[str, Sequence[int]]) -> bool:
        """Queues a job; False when too much waits already (the job is not closed then)."""
        with self._changed:
            if self._stopping or len(self._queue) + len(encoded) > self._max_waiting:
                return False
            self._queue.add(job, encoded)
            self._changed.notify(len(self._threads))
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
                values = self._encode(ids, mask)
            except Exception as error:
                self._fail(chunk, str(error))
            else:
                self._deliver(chunk, values)

    def _next_chunk(self) -> list[Row]:
        with self._changed:
            while True:
                self._drop_cancelled()
                if chunk := self._queue.take():
                    return chunk
                if self._stopping:
                    return []
                self._changed.wait()

    def _drop_cancelled(self) -> None:
        while (job := self._queue.head()) is not None:
            if time.monotonic() - job.arrived < self._cancel_check_seconds or not job.cancelled():
                return
            self._queue.drop(job)
            job.fail("cancelled")

    def _deliver(self, chunk: list[Row], values: np.ndarray) -> None:
        finished = []
        with self._changed:
            for row, value in zip(chunk, values, strict=True):
                row.value = value[: len(row.ids)] if value.ndim == 2 else value
                for job in row.jobs:
                    job.open_rows -= 1
                    if job.open_rows == 0 and not job.closed:
                        job.closed = True
                        finished.append(job)
        for job in finished:
            job.finish()

    def _fail(self, chunk: list[Row], message: str) -> None:
        with self._changed:
            failed = {job for row in chunk for job in row.jobs if not job.closed}
            for job in failed:
                self._queue.drop(job)
        for job in failed:
            job.fail(message)


def pad(rows: Sequence[Sequence[int]], pad_token_id: int) -> tuple[np.ndarray, np.ndarray]:
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
