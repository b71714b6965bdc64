"""Which GPUs of NVML's list CUDA shows, and in which order."""

from __future__ import annotations

import os
from typing import Any

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_indices(nvml: Any, visible: str | None = None) -> list[int]:
    """Return NVML's indices of the GPUs that CUDA shows, by the number that CUDA gives them.

    NVML counts by bus number, and so does CUDA where ``CUDA_DEVICE_ORDER`` is ``PCI_BUS_ID``, as
    in every Triton that Pentad starts. An entry that names no GPU, or several, ends the list, as it
    does for CUDA.

    Args:
        nvml: the module ``pynvml``, initialised, or what behaves like it.
        visible: value of ``CUDA_VISIBLE_DEVICES``; None: as it is set.

    Raises:
        NVMLError: the driver is away.
    """
    every = list(range(nvml.nvmlDeviceGetCount()))
    entries = _entries(visible)
    if entries is None:
        return every
    found: list[int] = []
    for entry in entries:
        matching = (
            every[int(entry) : int(entry) + 1]
            if entry.isdecimal()
            else [index for index in every if _uuid(nvml, index).startswith(entry)]
        )
        if len(matching) != 1:
            break
        found += matching
    return found


def shows_instances(visible: str | None = None) -> bool:
    """Return whether CUDA shows instances of a GPU in MIG mode, which NVML's list does not have."""
    return any(entry.startswith("MIG-") for entry in _entries(visible) or ())


def _entries(visible: str | None) -> list[str] | None:
    """The variable's entries; None where it is not set and CUDA shows everything."""
    visible = os.environ.get(VARIABLE) if visible is None else visible
    return None if visible is None else list(filter(None, map(str.strip, visible.split(","))))


def _uuid(nvml: Any, index: int) -> str:
    value = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
