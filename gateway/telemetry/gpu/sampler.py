"""Reads the GPUs in the background, so that no request ever waits for a driver."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from gateway.settings.telemetry import GpuSettings
from gateway.telemetry.gpu.sample import GpuHistory, GpuSource, Histories, SourceLostError
from gateway.telemetry.gpu.selection import select_source
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
FIRST_READ_SECONDS = 2.0  # a driver without persistence mode takes its time to wake a GPU
STOP_SECONDS = 1.0
LIVE_INTERVALS = 3  # reads that may fail or be late before a GPU counts as lost


class GpuSampler:
    """Samples every GPU at a fixed interval into a ring buffer.

    One daemon thread of its own does all reading: a driver that hangs stops the samples (the
    state becomes ``lost``) but neither the event loop, nor another thread, nor the process's end.

    Args:
        source: read instead of what the settings name.
    """

    def __init__(self, settings: GpuSettings, source: GpuSource | None = None) -> None:
        self.interval_seconds = settings.interval_seconds
        self._source = source or select_source(settings)
        self._histories = Histories(
            self._source.name, settings.history, LIVE_INTERVALS * settings.interval_seconds
        )
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._first = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    async def start(self) -> None:
        """Begin, and wait for the first samples unless the driver is slow to answer."""
        self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)
        self._thread.start()
        await asyncio.to_thread(self._first.wait, FIRST_READ_SECONDS)

    async def stop(self) -> None:
        """End the thread and release the driver; one that hangs is left behind."""
        self._stop.set()
        if self._thread:
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def history(self, gpu: int, count: int) -> GpuHistory:
        """Return the newest ``count`` samples of one GPU, at once.

        Raises:
            UnknownGpuError: no such GPU has been seen. GPU 0 always exists, perhaps without
                samples.
        """
        with self._lock:
            return self._histories.last(gpu, count, time.monotonic())

    def histories(self, count: int) -> list[GpuHistory]:
        """Return the newest ``count`` samples of every GPU, by index, at once."""
        with self._lock:
            now = time.monotonic()
            return [self._histories.last(gpu, count, now) for gpu in self._histories.indices()]

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._sample()
            self._first.set()
            # A fixed grid; reads that took longer than the interval are left out, not caught up.
            now = time.monotonic()
            due += self.interval_seconds * max(1, -(-(now - due) // self.interval_seconds))
            self._stop.wait(due - now)
        self._source.close()

    def _sample(self) -> None:
        try:
            readings = self._source.read()
        except SourceLostError:
            self._failed({})
            return
        except Exception as error:  # the sampler must outlive bugs of a driver's bindings
            self._failed(where(error))
            return
        name = self._source.name
        with self._lock:
            self._histories.add(name, readings, time.monotonic())
        if self._failing:
            log.info("GPUs are read again", extra={"source": name})
        self._failing = False

    def _failed(self, extra: dict[str, str]) -> None:
        if not self._failing:
            log.warning("GPUs cannot be read", extra={"source": self._source.name, **extra})
        self._failing = True
