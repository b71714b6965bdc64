"""What a source of GPU figures is, what it yields, and the last of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Protocol

SourceName = Literal["dcgm", "nvml", "triton", "stub"]


class SourceLostError(Exception):
    """The driver, the library or the host engine is away; a later read may succeed."""


@dataclass(frozen=True)
class GpuSample:
    """One device at one moment; ``None`` where the device does not report a figure.

    Attributes:
        gpu_util: share of time in which a kernel ran, percent.
        mem_util: share of time in which device memory was read or written, percent.
            Not the occupancy: that is ``memory_used_mb / memory_total_mb``.
        memory_used_mb: MiB, what the driver reserves included where it counts it so.
        memory_total_mb: MiB.
        power_w: watts.
        power_limit_w: the limit that is enforced, watts.
        temperature_c: of the GPU die, degrees Celsius.
        timestamp: seconds since the epoch.
    """

    gpu_util: float | None
    mem_util: float | None
    memory_used_mb: float | None
    memory_total_mb: float | None
    power_w: float | None
    power_limit_w: float | None
    temperature_c: float | None
    timestamp: float

    @property
    def empty(self) -> bool:
        """Whether the device reported nothing at all."""
        return all(getattr(self, figure) is None for figure in FIGURES)


FIGURES = tuple(field.name for field in fields(GpuSample) if field.name != "timestamp")


@dataclass(frozen=True)
class Reading:
    """What one read said of one device.

    Attributes:
        device: name for people.
        identity: tells this device from another one at the same index; None where unknown.
        sample: None where the device answered nothing, as a GPU that fell off the bus does.
    """

    device: str
    identity: str | None
    sample: GpuSample | None


class GpuSource(Protocol):
    """One way to read the GPUs of this machine. Calls block and come from one thread at a time."""

    @property
    def name(self) -> SourceName:
        """Label of everything that this source has read."""

    def read(self) -> list[Reading]:
        """Return one reading per device, by device index; opens the source if it is not open.

        Raises:
            SourceLostError: no device can be read now.
        """

    def close(self) -> None:
        """Release the driver; a later read opens it again."""


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
