"""Chooses the engine for a device: torch where CUDA proves to compute, else ONNX Runtime."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

from lipsync_settings import Settings
from memory.process_memory import usable_cores
from tenants.control import TenantControl
from tenants.import_process import ImportProcesses
from tenants.store import TenantStore
from tenants.table import TenantTable

from engines.cpu import CpuEngine

GPU_WORKERS = 4
"""Slots on a GPU: enough that copies of one overlap with the computing of others."""
DRIVER_FILES = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg", "/dev/nvmap")
"""One of them is there where a driver is: on Linux, in a container, in WSL2, on a Jetson."""
NO_DRIVER = "there is no NVIDIA driver"
LONGEST_REASON = 200
"""Characters of an error that are told: torch adds advice for developers below the first line."""


def make_engines(settings: Settings) -> list[Any]:
    """Return the engine for the settings' device; behind a GPU's, one for other tenants.

    Raises:
        RuntimeError: "cuda" is demanded and cannot be used.
    """
    device = f"cuda:{settings.index}"
    reason = "not asked for" if settings.device == "cpu" else cuda_problem(settings.index)
    gpu = None
    if not reason:
        gpu, reason = _gpu_engine(settings, device)
    if reason and settings.device == "cuda":
        raise RuntimeError(f"device is {device}, but {reason}")
    workers = settings.workers or (usable_cores() if gpu is None else GPU_WORKERS)
    worth_telling = settings.device == "auto" and reason not in ("", NO_DRIVER)
    why = f"{device} is not used: {reason}" if worth_telling else ""
    cpu = CpuEngine(workers, settings.mask, settings.index, why)
    return [cpu] if gpu is None else [gpu, cpu]


def _gpu_engine(settings: Settings, device: str) -> tuple[Any, str]:
    """Return the engine, or None and why there is none, as where the memory is taken."""
    from engines.gpu import GpuEngine  # torch is large; on a CPU nothing needs it

    workers = settings.workers or GPU_WORKERS
    memory, pinned = settings.device_memory, settings.host_memory
    try:
        engine = GpuEngine(
            device, workers, settings.mask, memory, settings.index, host_budget=pinned
        )
        return engine, ""
    except RuntimeError as error:
        return None, first_line(error)


def make_control(
    settings: Settings,
    engines: list[Any],
    table: TenantTable,
    imports: ImportProcesses,
    counted: Callable[[str], None],
) -> TenantControl:
    """Load and unload tenants of these engines."""
    backings = [
        (engine, TenantStore(engine.layout, imports.run, settings.blob_folder))
        for engine in engines
    ]
    return TenantControl(
        table, backings, settings.loads, imports.most, settings.frame_limit, counted
    )


def cuda_problem(index: int) -> str:
    """Why torch cannot compute on a device; empty when it can.

    Counting is not enough: NVML counts cards whose driver is too old for this CUDA, that another
    process holds exclusively, that are in an error state, or for which torch has no kernels.

    Args:
        index: Number of the device among those that CUDA_VISIBLE_DEVICES shows.
    """
    if not any(map(os.path.exists, DRIVER_FILES)):
        return NO_DRIVER
    try:
        import torch  # large, so only where there is a driver
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
        return f"torch cannot be used ({first_line(error)})"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same words that `init` raises
        available = torch.cuda.is_available()
    try:
        if not available:
            torch.cuda.init()  # says why
        if index >= (count := torch.cuda.device_count()):
            return f"torch sees {count} GPUs, asked for is number {index}"
        _compute(torch, torch.device("cuda", index))
    except (RuntimeError, AssertionError) as error:
        return first_line(error)
    return "" if available else "torch says that CUDA is not available"


def _compute(torch: Any, device: Any) -> None:
    """Run a kernel of torch's own and one of cuDNN, and wait for both."""
    ones = torch.ones((1, 8, 4, 4), dtype=torch.float16, device=device)
    total = torch.nn.functional.conv2d(ones + 1, ones).float().sum().item()
    if total != 2 * ones.numel():
        raise RuntimeError(f"a convolution of ones gave {total:g} in place of {2 * ones.numel()}")


def first_line(error: BaseException) -> str:
    """Return an error's first line, shortened; its type where it says nothing."""
    text = str(error).strip().partition("\n")[0][:LONGEST_REASON]
    return text or type(error).__name__
