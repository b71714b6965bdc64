"""The machine that is planned for: described, or this one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import pynvml
from pydantic import Field, ValidationError

from gateway.capacity.visible import cards
from gateway.settings.base import Section
from gateway.settings.yaml_file import read_yaml

GB = 10**9
"""Bytes; cards and memory are sold in decimal gigabytes."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Gpu(Section):
    """One GPU."""

    name: str = "GPU"
    """What it is called."""
    memory_gb: float = Field(gt=0, allow_inf_nan=False)
    """Its memory, 10^9 bytes."""


class Machine(Section):
    """What there is to fill."""

    gpus: list[Gpu] = []
    """By the index that CUDA gives them."""
    memory_gb: float = Field(gt=0, allow_inf_nan=False)
    """Memory of the host, 10^9 bytes."""
    onnxruntime_gpu: bool = True
    """Whether the embedded server has the package of that name, as the installer takes it where an
    NVIDIA driver is; without it ONNX networks run on the CPU."""


class MachineError(ValueError):
    """A description that cannot be understood; the text says why."""


def described(gpus: int, memory_gb: float, host_gb: float | None) -> Machine:
    """Return a machine with equal GPUs; without a host's memory, as much as on all of them.

    Raises:
        MachineError: a number that no machine has.
    """
    if gpus < 0:
        raise MachineError(f"{gpus} GPUs: there are 0 or more")
    try:
        host = host_gb if host_gb is not None else max(1, gpus) * memory_gb
        return Machine(gpus=[Gpu(memory_gb=memory_gb)] * gpus, memory_gb=host)
    except ValidationError as error:
        raise MachineError(_reason(error)) from None


def from_file(file: Path) -> Machine:
    """Return the machine of a YAML or JSON file with the keys of :class:`Machine`.

    Raises:
        MachineError: it cannot be read or describes none.
    """
    try:
        return Machine.model_validate(read_yaml(file))
    except ValidationError as error:
        raise MachineError(f"{file}: {_reason(error)}") from None
    except ValueError as error:
        raise MachineError(str(error)) from None


def this_machine(nvml: Any = pynvml, visible: str | None = None) -> Machine:
    """Return this machine by NVML, without GPUs where there is no driver.

    Args:
        nvml: the module ``pynvml``, or what behaves like it.
        visible: ``CUDA_VISIBLE_DEVICES``, which decides what Triton will see; None: as it is set.
    """
    return Machine(
        gpus=_gpus(nvml, visible),
        memory_gb=host_bytes() / GB,
        onnxruntime_gpu=has_onnxruntime_gpu(),
    )


def has_onnxruntime_gpu() -> bool:
    """Whether ONNX Runtime with CUDA is in this environment."""
    try:
        return bool(version("onnxruntime-gpu"))
    except PackageNotFoundError:
        return False


def host_bytes(limit: Path = _CGROUP_LIMIT) -> int:
    """Return the memory that this process may use: the machine's, or its control group's limit."""
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(limit.read_text()))
    except (OSError, ValueError):  # no control group, or "max"
        return total


def _gpus(nvml: Any, visible: str | None) -> list[Gpu]:
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    try:
        return [
            Gpu(
                name=str(nvml.nvmlDeviceGetName(card.handle)),
                memory_gb=nvml.nvmlDeviceGetMemoryInfo(card.handle).total / GB,
            )
            for card in cards(nvml, visible)
        ]
    except nvml.NVMLError:
        return []
    finally:
        nvml.nvmlShutdown()


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return f"{place}: {first['msg']}"
