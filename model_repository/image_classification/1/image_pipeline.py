"""Pictures on their way: decoded side by side, then through the network in batches.

Pure Python and numpy, no Triton. A *job* is one request, its pictures are *rows*. A batch takes
the rows that are ready when the network is free, whatever requests they belong to, so a picture
that takes long to decode, or turns out to be none, holds up nobody else's. Large pictures have a
thread of their own, where they wait for each other while small ones pass.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class Picture(Protocol):
    """A picture whose header was read."""

    @property
    def is_large(self) -> bool:
        """Whether it takes long to decode."""


AnyPicture = TypeVar("AnyPicture", bound=Picture)


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        logits: FP32 [classes].
        batch_size: Rows that went through the network with it, itself included.
        preparation_ms: Decoding and preprocessing.
        execution_ms: Its batch in the network.
    """

    logits: NDArray[Any]
    batch_size: int
    preparation_ms: float
    execution_ms: float


class Job:
    """One request; one of its two callbacks is called, once, by a worker.

    Attributes:
        images: Encoded pictures.
        outcomes: One per picture once it is known.
        closed: Whether it was answered.
        arrived: Monotonic time in seconds.
    """

    def __init__(
        self,
        images: Sequence[bytes],
        answer: Callable[[list[Outcome]], None],
        refuse: Callable[[Exception], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Create the job.

        Args:
            images: At least one.
            answer: Receives the outcomes in the order of the pictures.
            refuse: Receives the reason when there are none.
            is_cancelled: Whether the client has gone; a round trip to the server.
        """
        self.images = images
        self.outcomes: list[Outcome | None] = [None] * len(images)
        self.closed = False
        self.arrived = time.monotonic()
        self.is_cancelled = is_cancelled
        self._answer = answer
        self._refuse = refuse

    def finish(self) -> None:
        """Hands the outcomes over."""
        try:
            self._answer([outcome for outcome in self.outcomes if outcome is not None])
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Hands the reason over."""
        # An answer that cannot be sent any more must not end the worker.
        with contextlib.suppress(Exception):
            self._refuse(error)


class CancelledError(Exception):
    """The client has gone."""


@dataclass(slots=True)
class _Row:
    job: Job
    place: int
    pixels: NDArray[Any] | None = None
    preparation_ms: float = 0.0


class ImagePipeline(Generic[AnyPicture]):
    """Threads that decode, and threads that run batches."""

    def __init__(
        self,
        read: Callable[[bytes], AnyPicture],
        prepare: Callable[[AnyPicture], NDArray[Any]],
        classify: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]],
        *,
        decoders: int,
        batches: int,
        batch_rows: int,
        max_waiting_bytes: int,
        cancel_check_seconds: float = 0.25,
    ) -> None:
        """Start the threads.

        Args:
            read: A file to a picture, by its header alone.
            prepare: A picture to UINT8 pixels [height, width, 3], all of one shape.
            classify: UINT8 [rows, height, width, 3] to logits FP32 [rows, classes] and each
                row's batch size INT32 [rows, 1].
            decoders: Pictures decoded at the same time, beside one large one.
            batches: Batches in the network at the same time.
            batch_rows: Most rows in a batch.
            max_waiting_bytes: Encoded bytes that may wait or be decoded; more are refused.
            cancel_check_seconds: Age from which a job is asked whether it was cancelled.
        """
        self._read = read
        self._prepare = prepare
        self._classify = classify
        self._batch_rows = batch_rows
        self._max_waiting_bytes = max_waiting_bytes
        self._cancel_check_seconds = cancel_check_seconds
        self._lock = threading.Lock()
        self._encoded_arrived = threading.Condition(self._lock)
        self._row_ready = threading.Condition(self._lock)
        self._encoded: deque[_Row] = deque()
        self._large_arrived = threading.Condition(self._lock)
        self._large: deque[_Row] = deque()
        self._ready: deque[_Row] = deque()
        self._waiting_bytes = 0
        self._decoding = 0  # rows that a thread has, or that wait because they are large
        self._stopping = False
        self._threads = [
            *self._start(self._decode_large, "large-decoder", 1),
            *self._start(self._decode, "decoder", decoders),
            *self._start(self._run_batches, "batch", batches),
        ]

    @staticmethod
    def _start(work: Callable[[], None], name: str, count: int) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        return threads

    def submit(self, job: Job) -> bool:
        """Queues a job; False when too much waits already (the job is not closed then)."""
        size = sum(map(len, job.images))
        with self._lock:
            if self._stopping or self._waiting_bytes + size > self._max_waiting_bytes:
                return False
            self._waiting_bytes += size
            self._encoded.extend(_Row(job, place) for place in range(len(job.images)))
            self._encoded_arrived.notify(len(job.images))
            return True

    def stop(self) -> None:
        """Finishes what waits, then ends the threads."""
        with self._lock:
            self._stopping = True
            self._encoded_arrived.notify_all()
            self._row_ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _decode(self) -> None:
        while (row := self._next_encoded()) is not None:
            error = self._try(row, self._prepare_unless_large)
            if error is not None or row.pixels is not None:
                self._decoded(row, error)
                continue
            with self._lock:
                self._large.append(row)
                self._large_arrived.notify()

    def _decode_large(self) -> None:
        while (row := self._next_large()) is not None:
            self._decoded(row, self._try(row, self._prepare_any))

    def _decoded(self, row: _Row, error: Exception | None) -> None:
        with self._lock:
            self._decoding -= 1
            self._waiting_bytes -= len(row.job.images[row.place])
            if error is None:
                self._ready.append(row)
                self._row_ready.notify()
            if self._stopping:  # this row may be what the last threads wait for
                self._row_ready.notify_all()
                self._large_arrived.notify_all()
        if error is not None:
            self._fail([row], error)

    def _next_encoded(self) -> _Row | None:
        with self._lock:
            while not self._encoded:
                if self._stopping:
                    self._large_arrived.notify_all()
                    return None
                self._encoded_arrived.wait()
            self._decoding += 1
            return self._encoded.popleft()

    def _next_large(self) -> _Row | None:
        with self._lock:
            while not self._large:
                if self._stopping and not self._encoded and not self._decoding:
                    return None
                self._large_arrived.wait()
            return self._large.popleft()

    def _try(self, row: _Row, work: Callable[[_Row], None]) -> Exception | None:
        job = row.job
        if job.closed:  # another picture of the request was bad
            return CancelledError()
        started = time.monotonic()
        try:
            if started - job.arrived > self._cancel_check_seconds and job.is_cancelled():
                return CancelledError()
            work(row)
        except Exception as error:
            return error
        row.preparation_ms += (time.monotonic() - started) * 1e3
        return None

    def _prepare_unless_large(self, row: _Row) -> None:
        picture = self._read(row.job.images[row.place])
        if not picture.is_large:  # those are read again when it is their turn: open, they are large
            row.pixels = self._prepare(picture)

    def _prepare_any(self, row: _Row) -> None:
        row.pixels = self._prepare(self._read(row.job.images[row.place]))

    def _run_batches(self) -> None:
        while rows := self._next_batch():
            started = time.monotonic()
            try:
                pixels = [row.pixels for row in rows if row.pixels is not None]  # all are prepared
                logits, sizes = self._classify(np.stack(pixels))
                if len(logits) != len(rows):
                    raise RuntimeError(f"{len(logits)} answers for {len(rows)} pictures")
            except Exception as error:
                self._fail(rows, error)
                continue
            took = (time.monotonic() - started) * 1e3
            for row, scores, size in zip(rows, logits, sizes, strict=True):
                outcome = Outcome(scores, int(size[0]), row.preparation_ms, took)
                self._deliver(row, outcome)

    def _next_batch(self) -> list[_Row]:
        with self._lock:
            while not self._ready:
                if self._stopping and not self._encoded and not self._decoding:
                    return []
                self._row_ready.wait()
            count = min(len(self._ready), self._batch_rows)
            return [self._ready.popleft() for _ in range(count)]

    def _deliver(self, row: _Row, outcome: Outcome) -> None:
        job = row.job
        with self._lock:
            job.outcomes[row.place] = outcome
            complete = not job.closed and None not in job.outcomes
            job.closed = job.closed or complete
        if complete:
            job.finish()

    def _fail(self, rows: Sequence[_Row], error: Exception) -> None:
        with self._lock:
            jobs = {row.job for row in rows if not row.job.closed}
            for job in jobs:
                job.closed = True
        for job in jobs:
            job.fail(error)
