"""Crops of faces on their way through the embedder, in batches over all enrollments.

Pure Python and numpy, no Triton.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Waiting:
    """Crops of one picture; their embeddings are put together as batches bring them."""

    def __init__(self, crops: NDArray[Any]) -> None:
        self.crops = crops
        self.embeddings: list[NDArray[Any] | None] = [None] * len(crops)
        self.missing = len(crops)
        self.future: Future[NDArray[Any]] = Future()


class CropBatches:
    """Threads that run batches; a batch takes what waits when the network is free."""

    def __init__(
        self, embed: Callable[[NDArray[Any]], NDArray[Any]], *, batches: int, batch_rows: int
    ) -> None:
        """Start the threads.

        Args:
            embed: UINT8 [n, 112, 112, 3] to embeddings FP32 [n, dimensions].
            batches: Batches in the network at the same time.
            batch_rows: Most crops in a batch.
        """
        self._embed = embed
        self._batch_rows = batch_rows
        self._arrived = threading.Condition()
        self._rows: deque[tuple[_Waiting, int]] = deque()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, name=f"crops-{number}", daemon=True)
            for number in range(batches)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, crops: NDArray[Any]) -> Future[NDArray[Any]]:
        """Queues the crops of a picture.

        Args:
            crops: UINT8 [n, 112, 112, 3], at least one.

        Returns:
            The future embeddings, FP32 [n, dimensions].
        """
        waiting = _Waiting(crops)
        with self._arrived:
            self._rows.extend((waiting, place) for place in range(len(crops)))
            self._arrived.notify(len(crops))
        return waiting.future

    def stop(self) -> None:
        """Finishes what waits, then ends the threads."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while rows := self._next_batch():
            try:
                embeddings = self._embed(np.stack([waiting.crops[at] for waiting, at in rows]))
                if len(embeddings) != len(rows):
                    raise RuntimeError(f"{len(embeddings)} embeddings of {len(rows)} crops")
            except Exception as error:
                for waiting in {waiting for waiting, _ in rows}:
                    self._fail(waiting, error)
                continue
            for (waiting, at), embedding in zip(rows, embeddings, strict=True):
                self._deliver(waiting, at, embedding)

    def _next_batch(self) -> list[tuple[_Waiting, int]]:
        with self._arrived:
            while not self._rows:
                if self._stopping:
                    return []
                self._arrived.wait()
            count = min(len(self._rows), self._batch_rows)
            return [self._rows.popleft() for _ in range(count)]

    def _deliver(self, waiting: _Waiting, at: int, embedding: NDArray[Any]) -> None:
        with self._arrived:
            waiting.embeddings[at] = embedding
            waiting.missing -= 1
            complete = not waiting.missing
        if complete:
            rows = [row for row in waiting.embeddings if row is not None]  # all of them are there
            waiting.future.set_result(np.stack(rows))

    def _fail(self, waiting: _Waiting, error: Exception) -> None:
        with self._arrived:
            failed, waiting.missing = waiting.missing, -1
        if failed > 0:
            waiting.future.set_exception(error)
