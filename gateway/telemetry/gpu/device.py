"""What a GPU is and how much memory it has: from NVML, or from Triton where it is elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pynvml

from gateway.telemetry.gpu.nvml import MIB, text

_TRITON = re.compile(r'^nv_gpu_memory_(total|used)_bytes\{gpu_uuid="([^"]+)"\} (\S+)', re.M)


@dataclass(frozen=True)
class Gpu:
    """One device; memory in MiB, ``None`` where unknown."""

    name: str
    total_mb: int | None
    used_mb: int | None
    cuda_version: str | None


def read_nvml(index: int, nvml: Any = pynvml) -> Gpu | None:
    """Return device ``index`` of this machine, or None without driver or device."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        name = text(nvml.nvmlDeviceGetName(handle))
        version = nvml.nvmlSystemGetCudaDriverVersion_v2()
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()
    cuda = f"{version // 1000}.{version % 1000 // 10}"
    return Gpu(name, round(memory.total / MIB), round(memory.used / MIB), cuda)


def read_triton(metrics: str, index: int) -> Gpu | None:
    """Return device ``index`` from the text of Triton's metrics endpoint, or None."""
    devices: dict[str, dict[str, float]] = {}
    for kind, uuid, value in _TRITON.findall(metrics):
        devices.setdefault(uuid, {})[kind] = float(value)
    if index >= len(devices):
        return None
    memory = list(devices.values())[index]
    total, used = memory.get("total"), memory.get("used")
    return Gpu(
        name="cuda",
        total_mb=None if total is None else round(total / MIB),
        used_mb=None if used is None else round(used / MIB),
        cuda_version=None,
    )
