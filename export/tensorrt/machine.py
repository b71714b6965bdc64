"""What plans depend on here: TensorRT's version and the GPUs' model."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from export.errors import ExportError
from gateway.visible_cards import Card, cards


@dataclass(frozen=True)
class PlanMachine:
    """Where a plan is built and run.

    Attributes:
        tensorrt: Version, `10.16.1.11`.
        gpu: Name of all GPUs as the driver gives it, `NVIDIA L40S`.
        compute_capability: Of all GPUs, `8.9`.
    """

    tensorrt: str
    gpu: str
    compute_capability: str


def this_machine(nvml: Any = None, tensorrt: Any = None, visible: str | None = None) -> PlanMachine:
    """Asks the driver and TensorRT.

    Args:
        nvml: The module `pynvml`, or what behaves like it.
        tensorrt: The module `tensorrt`, or what behaves like it.
        visible: `CUDA_VISIBLE_DEVICES`, which decides what Triton will see; None: as it is set.

    Raises:
        ExportError: CUDA shows no GPU, or there is no TensorRT, or the GPUs differ.
    """
    nvml = nvml or import_module("pynvml")
    try:
        nvml.nvmlInit()
        try:
            kinds = {_kind(nvml, card) for card in cards(nvml, visible)}
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise ExportError(f"plans need an NVIDIA GPU; its driver says: {error}") from None
    if len(kinds) != 1:
        names = ", ".join(f"{name} ({capability})" for name, capability in sorted(kinds)) or "none"
        raise ExportError(
            f"plans need GPUs of one model, here are {names}: let Triton see those of one model "
            "(CUDA_VISIBLE_DEVICES, NVIDIA_VISIBLE_DEVICES), or stay on ONNX"
        )
    try:
        tensorrt = tensorrt or import_module("tensorrt")
    except ImportError as error:
        raise ExportError(f"TensorRT's Python package cannot be used here: {error}") from None
    ((name, capability),) = kinds
    return PlanMachine(str(tensorrt.__version__), name, capability)


def _kind(nvml: Any, card: Card) -> tuple[str, str]:
    """Name and compute capability; a MIG instance's name tells its size, too."""
    name = nvml.nvmlDeviceGetName(card.handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(card.gpu)
    return name.decode() if isinstance(name, bytes) else str(name), f"{major}.{minor}"
