"""Chooses the engine for a device: torch with CUDA where there is a GPU, else ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from cpu_engine import CpuEngine
from import_process import ImportProcesses
from lipsync_settings import Settings
from process_memory import usable_cores
from tenant_control import TenantControl
from tenant_store import TenantStore
from tenant_table import TenantTable

GPU_WORKERS = 4
"""Slots on a GPU: enough that copies of one overlap with the computing of others."""


def make_engines(settings: Settings) -> list[Any]:
    """The engine for the settings' device; behind a GPU's, one for tenants that it does not run.

    Raises:
        RuntimeError: "cuda" is demanded and cannot be used.
    """
    reason = _without_cuda(settings) if settings.device != "cpu" else "not asked for"
    if reason and settings.device == "cuda":
        raise RuntimeError(f"device is cuda:{settings.index}, but {reason}")
    workers = settings.workers or (usable_cores() if reason else GPU_WORKERS)
    cpu = CpuEngine(workers, settings.mask, settings.index)
    if reason:
        return [cpu]
    from gpu_engine import GpuEngine  # torch is large; on a CPU nothing needs it

    device = f"cuda:{settings.index}"
    memory = settings.device_memory
    return [GpuEngine(device, workers, settings.mask, memory, settings.index), cpu]


def make_control(
    settings: Settings,
    engines: list[Any],
    table: TenantTable,
    imports: ImportProcesses,
    counted: Callable[[str], None],
) -> TenantControl:
    """Loads and unloads tenants of these engines."""
    backings = [
        (engine, TenantStore(engine.layout, imports.run, settings.blob_folder))
        for engine in engines
    ]
    return TenantControl(
        table, backings, settings.loads, imports.most, settings.frame_limit, counted
    )


def _without_cuda(settings: Settings) -> str:
    """Why CUDA cannot be used; empty when it can."""
    if not os.path.exists("/proc/driver/nvidia") and not os.path.exists("/dev/nvidiactl"):
        return "there is no NVIDIA driver"
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    if settings.index >= torch.cuda.device_count():
        return f"torch sees {torch.cuda.device_count()} GPUs"
    return ""
