"""Which GPUs of NVML's list CUDA shows, and in which order."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_indices(nvml: Any, visible: str | None = None) -> list[int]:
    """Return NVML's indices of the GPUs that CUDA shows, by the number that CUDA gives them.

    See :func:`visible_numbers`.

    Args:
        nvml: the module ``pynvml``, initialised, or what behaves like it.
        visible: value of ``CUDA_VISIBLE_DEVICES``; None: as it is set.

    Raises:
        NVMLError: the driver is away.
    """
    count = nvml.nvmlDeviceGetCount()
    return visible_numbers(count, lambda index: _uuid(nvml, index), visible)


def visible_numbers(
    count: int, uuid: Callable[[int], str], visible: str | None = None
) -> list[int]:
    """Return which of a list of GPUs CUDA shows, by the number that CUDA gives them.

    The list is in the order of the bus, and so is CUDA's where ``CUDA_DEVICE_ORDER`` is
    ``PCI_BUS_ID``, as in every Triton that Pentad starts. An entry that names no GPU, or several,
    ends it, as it does for CUDA.

    Args:
        count: length of the list.
        uuid: returns that of one of them; asked only where an entry is a UUID.
        visible: value of ``CUDA_VISIBLE_DEVICES``; None: as it is set.
    """
    every = list(range(count))
    entries = _entries(visible)
    if entries is None:
        return every
    found: list[int] = []
    for entry in entries:
        matching = (
            every[int(entry) : int(entry) + 1]
            if entry.isdecimal()
            else [index for index in every if uuid(index).startswith(entry)]
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
