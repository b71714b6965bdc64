"""What plans depend on here: TensorRT's version and the GPUs' compute capability."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from export.errors import ExportError


@dataclass(frozen=True)
class PlanMachine:
    """Where a plan is built and run.

    Attributes:
        tensorrt: Version, `10.16.1.11`.
        compute_capability: Of all GPUs, `9.0`.
    """

    tensorrt: str
    compute_capability: str


def this_machine(nvml: Any = None, tensorrt: Any = None) -> PlanMachine:
    """Asks the driver and TensorRT.

    Args:
        nvml: The module `pynvml`, or what behaves like it.
        tensorrt: The module `tensorrt`, or what behaves like it.

    Raises:
        ExportError: There is no GPU or no TensorRT, or the GPUs differ.
    """
    nvml = nvml or import_module("pynvml")
    try:
        nvml.nvmlInit()
        try:
            handles = [
                nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
            ]
            found = {tuple(nvml.nvmlDeviceGetCudaComputeCapability(one)) for one in handles}
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise ExportError(f"plans need an NVIDIA GPU; its driver says: {error}") from None
    if len(found) != 1:
        kinds = ", ".join(sorted(f"{major}.{minor}" for major, minor in found)) or "none"
        raise ExportError(
            f"plans need GPUs of one compute capability, here are {kinds}: let Triton see those of "
            "one kind (NVIDIA_VISIBLE_DEVICES), or stay on ONNX"
        )
    try:
        tensorrt = tensorrt or import_module("tensorrt")
    except ImportError as error:
        raise ExportError(f"TensorRT's Python package cannot be used here: {error}") from None
    ((major, minor),) = found
    return PlanMachine(str(tensorrt.__version__), f"{major}.{minor}")
