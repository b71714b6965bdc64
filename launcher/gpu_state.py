"""What the embedded server's networks will compute on, in one sentence, before they are loaded.

After that `engine` of each model says it, by what its backend found (`gateway.health.engine`).
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.capacity.machine import has_onnxruntime_gpu, this_machine

DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))
CPU = "ONNX networks run on the CPU"


def driver_present() -> bool:
    """Whether an NVIDIA driver is loaded, or Windows' is seen from its Linux."""
    return any(path.exists() for path in DRIVERS)


def gpu_state(nvml: Any = None) -> str:
    """Return what there is and what is missing; the first thing that is missing decides.

    Args:
        nvml: The module `pynvml`, or what behaves like it.
    """
    nvml = nvml or import_module("pynvml")
    gpus = this_machine(nvml).gpus
    if not gpus:
        return f"no NVIDIA GPU that may be used: {CPU}"
    names = ", ".join(dict.fromkeys(gpu.name for gpu in gpus))
    if not has_onnxruntime_gpu():
        return f"{names}, but onnxruntime-gpu is not installed (`make env DEVICE=cuda`): {CPU}"
    if why := _cuda_fails():
        return f"{names}, but CUDA cannot use it ({why}): {CPU}"
    return f"ONNX networks run on {names}; TensorRT plans: {_tensorrt()}"


def _cuda_fails() -> str:
    """Return what CUDA itself says against these GPUs; empty where nothing."""
    try:
        cudart = import_module("cuda.bindings.runtime")
    except ImportError:
        return "the package cuda-bindings is missing"
    status, _ = cudart.cudaGetDeviceCount()
    if status == cudart.cudaError_t.cudaSuccess:
        return ""
    _, text = cudart.cudaGetErrorString(status)
    return text.decode() if isinstance(text, bytes) else str(text)


def _tensorrt() -> str:
    if find_spec("tensorrt") is None:
        return "need the package tensorrt-cu13 (docs/operations/gpu.md)"
    for name in ("tensorrt-cu13", "tensorrt"):
        try:
            return f"TensorRT {version(name)}"
        except PackageNotFoundError:
            continue
    return "TensorRT of another package"
