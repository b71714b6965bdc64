"""Chooses the engine for a device: torch with CUDA where there is a GPU, else ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipsync_settings import Settings
from memory.process_memory import usable_cores
from tenants.control import TenantControl
from tenants.import_process import ImportProcesses
from tenants.store import TenantStore
from tenants.table import TenantTable

from engines.cpu import CpuEngine
from engines.cuda_check import NO_DRIVER, cuda_problem, first_line

GPU_WORKERS = 4
"""Slots on a GPU: enough that copies of one overlap with the computing of others."""


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
    try:
        made = GpuEngine(
            device, workers, settings.mask, settings.device_memory, settings.index,
            room=settings.device_room, host_budget=settings.host_memory,
        )  # fmt: skip
        return made, ""
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
