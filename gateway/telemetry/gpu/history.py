"""The last samples of every GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.telemetry.gpu.sample import GpuSample, Reading, SourceName


class UnknownGpuError(LookupError):
    """No GPU has this index."""


@dataclass(frozen=True)
class GpuHistory:
    """What is known of one GPU.

    Attributes:
        gpu: index.
        device: name, None before the first reading.
        source: where every one of the samples comes from.
        state: ``live`` while samples arrive, else ``lost``: the samples are the last there were.
        samples: oldest first.
    """

    gpu: int
    device: str | None
    source: SourceName
    state: Literal["live", "lost"]
    samples: tuple[GpuSample, ...]


class _Ring:
    def __init__(self, size: int) -> None:
        self.device = ""
        self.identity: str | None = None
        self.samples: deque[GpuSample] = deque(maxlen=size)
        self.newest = float("-inf")  # monotonic seconds of the last sample

    def belongs_to_other(self, reading: Reading) -> bool:
        """Whether another device has taken this index; an unknown identity proves nothing."""
        return None not in (self.identity, reading.identity) and self.identity != reading.identity


class Histories:
    """One ring of samples per GPU index; all rings hold samples of one source.

    Args:
        source: its name until :meth:`add` says otherwise.
        size: samples kept per GPU.
        live_seconds: age of the newest sample up to which a GPU counts as live.
    """

    def __init__(self, source: SourceName, size: int, live_seconds: float) -> None:
        self._source = source
        self._size = size
        self._live_seconds = live_seconds
        self._rings: dict[int, _Ring] = {}

    def add(self, source: SourceName, readings: Sequence[Reading], now: float) -> None:
        """Take over one read; another source, or another device at an index, starts anew.

        Args:
            source: what was read.
            readings: by GPU index.
            now: monotonic seconds.
        """
        if source != self._source:
            self._rings.clear()
            self._source = source
        for index, reading in enumerate(readings):
            ring = self._rings.get(index)
            if ring is None or ring.belongs_to_other(reading):
                ring = self._rings[index] = _Ring(self._size)
            ring.device = reading.device
            ring.identity = reading.identity or ring.identity
            if reading.sample is not None:
                ring.samples.append(reading.sample)
                ring.newest = now

    def indices(self) -> list[int]:
        """Return the indices of all GPUs seen; GPU 0 is always there, the contract's default."""
        return sorted({0, *self._rings})

    def last(self, gpu: int, count: int, now: float) -> GpuHistory:
        """Return the newest ``count`` samples of one GPU.

        Raises:
            UnknownGpuError: it has never been seen.
        """
        ring = self._rings.get(gpu)
        if ring is None:
            if gpu != 0:
                raise UnknownGpuError(gpu)
            return GpuHistory(gpu, None, self._source, "lost", ())
        live = now - ring.newest <= self._live_seconds
        samples = tuple(ring.samples)[-count:] if count > 0 else ()
        return GpuHistory(gpu, ring.device, self._source, "live" if live else "lost", samples)
