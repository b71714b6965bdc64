"""How many streams with deadlines can be served in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.errors import BusyError
from gateway.services.lipsync.tenants.device import DeviceFigures

FRAMES_PER_SECOND = 25
MAX_RETRY_AFTER = 60  # seconds
_RECENT = 0.1  # weight of the last stream in the mean length
_MEMORY = 5.0  # seconds in which what was measured fades to a third
_EXACT = 1e-9  # more than quotients of whole numbers are off
_LEAST = 1.0  # seconds before which frames side by side say nothing of a rate


class StreamMeter:
    """What streams cost on their whole way: sound, encoder, gateway, network.

    A device knows what its networks take. The rest of the way shares the cores with it, or is a
    single event loop, and other requests take their part of all of it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin: float | None = None
        self._last = 0.0
        self._frames = self._seconds = 0.0  # of late, each fading

    def made(self, frames: int, seconds: float) -> None:
        """Count frames of one stream and the seconds that they took, waits for others apart."""
        now = self._clock()
        if self._begin is None:
            self._begin = self._last = now - seconds
        # Of a pause something stays: the cost of a frame is known until there is a newer one.
        fading = math.exp(-min(now - self._last, 3 * _MEMORY) / _MEMORY)
        self._frames = self._frames * fading + frames
        self._seconds = self._seconds * fading + seconds
        self._last = now

    def frames_per_second(self, workers: int) -> float | None:
        """Return what the way makes when it is busy, at least; None: nothing was made yet.

        One stream alone makes ``frames / seconds``, and as many side by side as there are workers
        make that each. Where more were side by side they waited for each other, and what they made
        together is the better figure.
        """
        if self._begin is None or self._seconds <= 0:
            return None
        elapsed = max(_LEAST, self._last - self._begin)
        seen = self._frames / (_MEMORY * -math.expm1(-elapsed / _MEMORY))
        return max(workers * self._frames / self._seconds, seen)


class StreamCapacity:
    """Takes streams in while as many frames can be made as all of them show.

    Args:
        devices: says what they make.
        share: of what can be made that streams may have.
        on_reject: told of each refusal.

    Attributes:
        meter: what the streams turn out to cost.
        open: streams that were taken and have not ended.
    """

    def __init__(
        self,
        devices: Callable[[], DeviceFigures],
        share: float,
        on_reject: Callable[[], None] = lambda: None,
    ) -> None:
        self._devices = devices
        self._share = share
        self._on_reject = on_reject
        self._seconds = 0.0  # of a stream, a moving average
        self.meter = StreamMeter()
        self.open = 0

    @property
    def frames_per_second(self) -> float:
        """What can be made: by the devices, and on the whole way, as far as it is known.

        Until either is, one stream for each worker is taken.
        """
        devices = self._devices()
        measured = self.meter.frames_per_second(devices.workers)
        known = [made for made in (devices.frames_per_second, measured) if made is not None]
        return min(known) if known else devices.workers * FRAMES_PER_SECOND / self._share

    @property
    def most(self) -> int:
        """How many streams can be served in time; one makes nobody else late."""
        return max(1, int(self._share * self.frames_per_second / FRAMES_PER_SECOND + _EXACT))

    @property
    def crowded(self) -> bool:
        """Whether streams are better served by fewer, larger inferences than at once."""
        return 2 * self.open > self.most

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream for the block.

        Raises:
            BusyError: with it others would be late; `retry_after` is when one of them should end.
        """
        if self.open >= self.most:
            self._on_reject()
            wait = math.ceil(self._seconds / self.open)
            raise BusyError(
                "All devices are busy with streams - retry later",
                retry_after=min(max(1, wait), MAX_RETRY_AFTER),
            )
        self.open += 1
        begin = time.monotonic()
        try:
            yield
        finally:
            self.open -= 1
            seconds, known = time.monotonic() - begin, self._seconds
            self._seconds = known + _RECENT * (seconds - known) if known else seconds


class StreamCollector(Collector):
    """What streams with deadlines there are, and might be, at the moment of a scrape."""

    def __init__(self, capacity: StreamCapacity) -> None:
        self._capacity = capacity

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        yield GaugeMetricFamily(
            "pentad_lipsync_streams", "Open streams with a delay_ms.", self._capacity.open
        )
        yield GaugeMetricFamily(
            "pentad_lipsync_streams_most",
            "How many of them would be served in time; more are refused.",
            self._capacity.most,
        )
