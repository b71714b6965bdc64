"""The peer: plain ONNX Runtime sessions of the tenant's own file, in one process, all cores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort

CORES = len(os.sched_getaffinity(0))


def session(file: Path, threads: int) -> ort.InferenceSession:
    """Return a session as anyone would make it, with that many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class PlainSessions:
    """Runs batches of one tenant in one of three ways; see WAYS."""

    def __init__(self, file: Path, way: str) -> None:
        self._file = file
        self._alone = way == "one session, all cores"
        self._by_frame = way == "a session per core, frame by frame"

    def frames_per_second(self, frames: np.ndarray, audio: np.ndarray, seconds: float) -> float:
        """Keep all cores busy with batches of `frames` for a while.

        The sessions live no longer: one keeps 4 GB after a batch of 25.
        """
        count, threads = (1, CORES) if self._alone else (CORES, 1)
        size = 1 if self._by_frame else len(frames)
        sound = np.ascontiguousarray(np.broadcast_to(audio, (size, *audio.shape[1:])))
        sessions = [session(self._file, threads) for _ in range(count)]
        for loaded in sessions:  # warm, as the pool is
            loaded.run(["output"], {"input": frames[:size], "audio": sound})
        counts = [0] * count
        end = time.monotonic() + seconds

        def loop(number: int) -> None:
            run = sessions[number].run
            while time.monotonic() < end:
                for first in range(0, len(frames), size):
                    run(["output"], {"input": frames[first : first + size], "audio": sound})
                counts[number] += len(frames)

        begin = time.monotonic()
        in_threads([lambda number=number: loop(number) for number in range(len(counts))])
        return sum(counts) / (time.monotonic() - begin)


WAYS = (
    "one session, all cores",
    "a session per core, whole batches",
    "a session per core, frame by frame",
)


def in_threads(calls: list[Callable[[], None]]) -> None:
    """Run calls side by side; the first error of them is raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
