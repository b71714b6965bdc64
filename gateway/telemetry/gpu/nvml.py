"""GPU figures from NVML, the library under ``nvidia-smi``.

Units as https://docs.nvidia.com/deploy/nvml-api states them: memory in bytes, power in
milliwatts, utilisation in percent, temperature in degrees Celsius.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pynvml

from gateway.telemetry.gpu.sample import GpuSample, Reading, SourceLostError, SourceName
from gateway.visible_cards import shown_places

MIB = 2**20
MILLI = 1000
NOT_AVAILABLE = 2**32 - 1  # NVML_VALUE_NOT_AVAILABLE (-1) in an unsigned field
T = TypeVar("T")

# The whole driver is away.
DRIVER_GONE = frozenset({
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
})  # fmt: skip
# One device is away; the others go on.
DEVICE_GONE = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
# The device is there and has no such figure, as GB10 has no memory of its own, and a GPU in MIG
# mode none that counts for all its instances.
NOT_REPORTED = frozenset({
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
})  # fmt: skip


class _DeviceGoneError(Exception):
    """The device at hand cannot be asked further."""


class NvmlSource:
    """Reads every GPU that NVML lists and CUDA shows.

    Args:
        nvml: the ``pynvml`` module, or what behaves like it.
        clock: seconds since the epoch.
        visible: ``CUDA_VISIBLE_DEVICES``; None: as it is set.
    """

    name: SourceName = "nvml"

    def __init__(
        self,
        nvml: Any = pynvml,
        clock: Callable[[], float] = time.time,
        visible: str | None = None,
    ) -> None:
        self._nvml = nvml
        self._clock = clock
        self._visible = visible
        self._silent = False  # whether the device at hand has failed to answer a question
        self._open = False
        self._known: dict[int, tuple[str, str | None]] = {}

    def read(self) -> list[Reading]:
        """Return one reading per GPU (see :class:`GpuSource`)."""
        try:
            if not self._open:
                self._nvml.nvmlInit()
                self._open = True
            readings = list(map(self._device, self._indices()))
        except self._nvml.NVMLError:
            self.close()
            raise SourceLostError from None
        missing = [reading for reading in readings if reading.sample is None]
        if missing:
            # Only a fresh initialisation finds a GPU again that has come back.
            self.close()
        if len(missing) == len(readings):
            raise SourceLostError
        return readings

    def close(self) -> None:
        """Release the library."""
        if self._open:
            self._open = False
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def _indices(self) -> list[int]:
        count = self._nvml.nvmlDeviceGetCount()
        return shown_places(count, self._uuid, self._visible)

    def _uuid(self, index: int) -> str:
        """Empty of a device that does not tell it."""
        try:
            return text(self._nvml.nvmlDeviceGetUUID(self._nvml.nvmlDeviceGetHandleByIndex(index)))
        except self._nvml.NVMLError as error:
            if error.value in DRIVER_GONE:
                raise
            return ""

    def _device(self, index: int) -> Reading:
        nvml = self._nvml
        try:
            handle = self._required(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
            self._known[index] = self._names(handle, index)
            self._silent = False
            sample = self._sample(handle)
        except _DeviceGoneError:
            return Reading(*self._known.get(index, (f"GPU {index}", None)), None)
        gone = sample.empty and self._silent  # one that has no figures at all is there
        return Reading(*self._known[index], None if gone else sample)

    def _names(self, handle: Any, index: int) -> tuple[str, str | None]:
        name = self._optional(lambda: self._nvml.nvmlDeviceGetName(handle))
        identity = self._optional(lambda: self._nvml.nvmlDeviceGetUUID(handle))
        return (
            f"GPU {index}" if name is None else text(name),
            None if identity is None else text(identity),
        )

    def _sample(self, handle: Any) -> GpuSample:
        nvml = self._nvml
        rates = self._optional(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        memory = self._optional(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        power = self._optional(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        limit = self._optional(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        celsius = self._optional(
            lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        )
        return GpuSample(
            gpu_util=None if rates is None else _number(rates.gpu),
            mem_util=None if rates is None else _number(rates.memory),
            memory_used_mb=None if memory is None else memory.used / MIB,
            memory_total_mb=None if memory is None else memory.total / MIB,
            power_w=_number(power, MILLI),
            power_limit_w=_number(limit, MILLI),
            temperature_c=_number(celsius),
            timestamp=self._clock(),
        )

    def _required(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except self._nvml.NVMLError as error:
            if error.value in DRIVER_GONE:
                raise
            raise _DeviceGoneError from None

    def _optional(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except self._nvml.NVMLError as error:
            if error.value in DRIVER_GONE:
                raise
            if error.value in DEVICE_GONE:
                raise _DeviceGoneError from None
            self._silent |= error.value not in NOT_REPORTED
            return None  # this device, or this driver, does not report it


def text(value: str | bytes) -> str:
    """Return a string of the driver; older bindings yield bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _number(value: int | None, per_unit: int = 1) -> float | None:
    return None if value is None or value == NOT_AVAILABLE else value / per_unit
