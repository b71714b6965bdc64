"""Pictures on their way: decoded side by side, then through the network in batches.

Pure Python and numpy, no Triton. A *job* is one request. A picture that takes long to decode, or
turns out to be none, holds up nobody else's: a batch takes what is ready. Large pictures have a
thread of their own, where they wait for each other while small ones pass.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray
from row_batches import RowBatches


class Picture(Protocol):
    """A picture whose header was read."""

    @property
    def is_large(self) -> bool:
        """Whether it takes long to decode."""


AnyPicture = TypeVar("AnyPicture", bound=Picture)
_Scores = tuple[NDArray[Any], int, float]
"""A row's logits, its batch's size, and the milliseconds of that in the network."""


@dataclass(frozen=True)
class PictureOutcome:
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


@dataclass(eq=False)
class Job:
    """One request; `answer` or `refuse` is called, once, by a worker.

    Attributes:
        images: Encoded pictures, at least one.
        answer: Receives the outcomes in the order of the pictures.
        refuse: Receives the reason when there are none.
        is_cancelled: Whether the client has gone; a round trip to the server.
        arrived: Monotonic time in seconds.
        closed: Whether it was answered.
    """

    images: Sequence[bytes]
    answer: Callable[[list[PictureOutcome]], None]
    refuse: Callable[[Exception], None]
    is_cancelled: Callable[[], bool]
    arrived: float = field(default_factory=time.monotonic)
    closed: bool = False

    def __post_init__(self) -> None:
        self._outcomes: dict[int, PictureOutcome] = {}
        self._lock = threading.Lock()

    def deliver(self, place: int, outcome: PictureOutcome) -> None:
        """Take what became of a picture; hands all over after the last one."""
        with self._lock:
            self._outcomes[place] = outcome
            if self.closed or len(self._outcomes) < len(self.images):
                return
            self.closed = True
        try:
            self.answer([self._outcomes[place] for place in range(len(self.images))])
        except Exception as error:
            self._give_up(error)

    def fail(self, error: Exception) -> None:
        """Hands the reason over, the first one only."""
        with self._lock:
            closed, self.closed = self.closed, True
        if not closed:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        # An answer that cannot be sent any more must not end the worker.
        with contextlib.suppress(Exception):
            self.refuse(error)


class CancelledError(Exception):
    """The client has gone."""


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
        self._max_waiting_bytes = max_waiting_bytes
        self._cancel_check_seconds = cancel_check_seconds
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._stopping = False
        self._batches = RowBatches(self._run, "batch", batches=batches, batch_rows=batch_rows)
        self._decoders = ThreadPoolExecutor(decoders, "decoder")
        self._large = ThreadPoolExecutor(1, "large-decoder")

    def submit(self, job: Job) -> bool:
        """Queues a job; False when too much waits already (the job is not closed then)."""
        size = sum(map(len, job.images))
        with self._lock:
            if self._stopping or self._waiting_bytes + size > self._max_waiting_bytes:
                return False
            self._waiting_bytes += size
            for place in range(len(job.images)):
                self._decoders.submit(self._decode, job, place)
            return True

    def stop(self) -> None:
        """Finishes what waits, then ends the threads."""
        with self._lock:
            self._stopping = True
        for threads in (self._decoders, self._large):  # the first may bring the other one work
            threads.shutdown()
        self._batches.stop()

    def _decode(self, job: Job, place: int, *, large: bool = False) -> None:
        begun = time.monotonic()
        try:
            if job.closed or self._is_cancelled(job):  # or another of its pictures was bad
                raise CancelledError
            picture = self._read(job.images[place])
            if picture.is_large and not large:
                # Read again when it is its turn: open, it is large.
                self._large.submit(self._decode, job, place, large=True)
                return
            pixels = self._prepare(picture)
        except Exception as error:
            job.fail(error)
            self._give_back(job, place)
            return
        took = (time.monotonic() - begun) * 1e3
        self._give_back(job, place)
        future = self._batches.submit([pixels])
        future.add_done_callback(partial(self._classified, job, place, took))

    def _is_cancelled(self, job: Job) -> bool:
        late = time.monotonic() - job.arrived > self._cancel_check_seconds
        return late and job.is_cancelled()

    def _give_back(self, job: Job, place: int) -> None:
        with self._lock:
            self._waiting_bytes -= len(job.images[place])

    def _run(self, pixels: NDArray[Any]) -> list[_Scores]:
        begun = time.monotonic()
        logits, sizes = self._classify(pixels)
        took = (time.monotonic() - begun) * 1e3
        return [(row, int(size[0]), took) for row, size in zip(logits, sizes, strict=True)]

    def _classified(
        self, job: Job, place: int, preparation_ms: float, future: Future[list[_Scores]]
    ) -> None:
        if error := future.exception():
            job.fail(RuntimeError(str(error)))
            return
        ((logits, batch_size, execution_ms),) = future.result()
        job.deliver(place, PictureOutcome(logits, batch_size, preparation_ms, execution_ms))
