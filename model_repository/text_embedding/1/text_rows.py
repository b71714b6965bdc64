"""Continuous batching of texts for an encoder: which rows go through the network together, when.

Pure Python, no Triton. `bertscore` uses the same modules (links), so that both treat long and
short requests alike.

A *job* is one request; its distinct texts become *rows*. Every chunk is chosen anew when the
encoder is free, so a request that arrives waits for the chunks being computed, never for the
rest of somebody else's hundred texts.
"""

from __future__ import annotations

import heapq
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SECONDS_PER_TOKEN = 0.005
"""How far one token of a job moves its turn back. A job of 32 long texts (8,000 tokens) lets jobs
of up to 40 s later pass at most: small jobs overtake big ones, and no job starves."""


Rows = Mapping[Hashable, "Row"]


class Row:
    """One distinct text in the queue.

    Attributes:
        text: What was encoded.
        ids: Token ids with specials.
        jobs: Jobs that wait for it.
        value: The encoder's output for it once `done`.
    """

    __slots__ = ("ids", "jobs", "number", "taken", "text", "value")

    def __init__(self, text: Hashable, ids: Sequence[int], number: int) -> None:
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


@dataclass(eq=False)
class Job:
    """One request; `answer` or `refuse` is called at most once, by a worker.

    Attributes:
        answer: Receives its rows by what was encoded, once all have their values.
        refuse: Receives the reason when a row cannot be encoded.
        is_cancelled: Whether nobody waits for the answer any more.
        rows: Its distinct rows, in order of length once queued.
        arrived: Monotonic time in seconds.
    """

    answer: Callable[[Rows], None]
    refuse: Callable[[str], None]
    is_cancelled: Callable[[], bool]
    rows: list[Row] = field(default_factory=list)
    arrived: float = field(default_factory=time.monotonic)
    open_rows: int = 0
    closed: bool = False


class RowQueue:
    """Waiting rows by length, waiting jobs by turn. Not thread-safe: `RowEncoding` locks it."""

    def __init__(self, max_rows: int, max_tokens: int) -> None:
        """Create an empty queue.

        Args:
            max_rows: Most rows in a chunk.
            max_tokens: Most tokens in a chunk, padding included, unless a single row has more.
        """
        self.max_rows = max_rows
        self.max_tokens = max_tokens
        self._by_length: list[tuple[int, int, Row]] = []
        self._by_text: dict[Hashable, Row] = {}
        self._turns: list[tuple[float, int, Job]] = []
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._by_length)

    def add(self, job: Job, encoded: Mapping[Hashable, Sequence[int]]) -> None:
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
        """Return the next chunk: the shortest row of the job whose turn it is, and its neighbours.

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
        """Return the job whose turn it is, None when no row waits."""
        while self._turns:
            job = self._turns[0][2]
            if not job.closed and any(not row.taken for row in job.rows):
                return job
            heapq.heappop(self._turns)
        return None
