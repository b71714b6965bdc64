"""What a GPU is and how much memory it has: from NVML, or from Triton where it is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pynvml

from gateway.telemetry.gpu.nvml import MIB, NOT_REPORTED, text
from gateway.telemetry.gpu.triton import figures
from gateway.visible_cards import shown_places


@dataclass(frozen=True)
class Gpu:
    """One device; memory in MiB, ``None`` where unknown."""

    name: str
    total_mb: int | None
    used_mb: int | None
    cuda_version: str | None


def read_nvml(index: int, nvml: Any = pynvml, visible: str | None = None) -> Gpu | None:
    """Return CUDA's device ``index`` of this machine, or None without driver or device.

    Args:
        index: the number that CUDA gives it.
        nvml: the module ``pynvml``, or what behaves like it.
        visible: ``CUDA_VISIBLE_DEVICES``; None: as it is set.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        gpus = list(map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount())))
        uuids = [text(nvml.nvmlDeviceGetUUID(gpu)) for gpu in gpus]
        handle = gpus[shown_places(len(gpus), uuids.__getitem__, visible)[index]]
        name = text(nvml.nvmlDeviceGetName(handle))
        version = nvml.nvmlSystemGetCudaDriverVersion_v2()
        total, used = _memory(nvml, handle)
    except (nvml.NVMLError, IndexError):
        return None
    finally:
        nvml.nvmlShutdown()
    return Gpu(name, total, used, f"{version // 1000}.{version % 1000 // 10}")


def _memory(nvml: Any, handle: Any) -> tuple[int | None, int | None]:
    """Total and used MiB; None of a card that has no memory of its own, such as GB10."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        if error.value not in NOT_REPORTED:
            raise
        return None, None
    return round(memory.total / MIB), round(memory.used / MIB)


def read_triton(metrics: str, index: int) -> Gpu | None:
    """Return device ``index`` from the text of Triton's metrics endpoint, or None."""
    devices = [card for _, card in sorted(figures(metrics).items())]
    if index >= len(devices):
        return None
    card = devices[index]
    return Gpu(
        name="cuda",
        total_mb=_whole(card.get("memory_total_mb")),
        used_mb=_whole(card.get("memory_used_mb")),
        cuda_version=None,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
