"""What a source of GPU figures is, and what it yields."""

from __future__ import annotations

from dataclasses import dataclass
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
        figures = (
            self.gpu_util, self.mem_util, self.memory_used_mb, self.memory_total_mb,
            self.power_w, self.power_limit_w, self.temperature_c,
        )  # fmt: skip
        return all(figure is None for figure in figures)


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
