"""Imports tenants as the Triton model does, with its own code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = "lipsync"
LAYOUTS = ("blocked", "half")
"""Of the weights: for ONNX Runtime's CPU kernels, and for GPUs."""


@dataclass(frozen=True)
class Imported:
    """What became of one file.

    Attributes:
        error: Why it was refused; None when it was not.
        new: Whether it was imported now; false when a valid import was there.
        graph: Hash that tenants with one engine share.
    """

    file: Path
    error: str | None = None
    new: bool = False
    graph: str = ""
    memory_bytes: int = 0
    quality: dict[str, float] | None = None


def default_layouts() -> tuple[str, ...]:
    """Return what this machine's devices need."""
    gpu = os.path.exists("/proc/driver/nvidia") or os.path.exists("/dev/nvidiactl")
    return LAYOUTS if gpu else LAYOUTS[:1]


@contextmanager
def model_code(repository: Path) -> Iterator[Callable[[str], Any]]:
    """Yield a function that imports a module of the Triton model."""
    folder = str(repository.resolve() / MODEL / "1")
    sys.path.append(folder)
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(folder)


def import_files(
    files: Iterable[Path],
    repository: Path,
    *,
    layouts: tuple[str, ...],
    blob_folder: Path | None = None,
    force: bool = False,
    workers: int | None = None,
    done: Callable[[Imported], None] = lambda result: None,
) -> list[Imported]:
    """Import files side by side; one that is refused does not concern the others.

    Args:
        files: ONNX files.
        repository: Model repository, whose model `lipsync` has the code.
        layouts: Of LAYOUTS.
        blob_folder: As the model's parameter; None is beside each file.
        force: Whether contents are compared, not sizes and times only.
        workers: Processes; by default one per core.
        done: Told each result.
    """
    count = workers or len(os.sched_getaffinity(0))
    with model_code(repository) as module:
        processes = module("tenants.import_process").ImportProcesses(count)
        store = module("tenants.store").TenantStore
        refused = module("lipsync_errors").RefusedError
        stores = [store(layout, processes.run, blob_folder) for layout in layouts]

        def one(file: Path) -> Imported:
            try:
                opened = [store.open(file, force=force) for store in stores]
            except refused as error:
                result = Imported(file, error=str(error))
            except OSError as error:
                result = Imported(file, error=f"tenant_file_invalid: {error.strerror}")
            else:
                result = _result(file, opened)
            done(result)
            return result

        try:
            with ThreadPoolExecutor(count) as pool:
                return list(pool.map(one, files))
        finally:
            processes.close()


def _result(file: Path, opened: list[tuple[Any, bool]]) -> Imported:
    manifests = [blob.manifest for blob, _ in opened]
    return Imported(
        file,
        new=any(new for _, new in opened),
        graph=manifests[0].graph,
        memory_bytes=opened[0][0].memory_bytes,
        quality={key: value for manifest in manifests for key, value in manifest.quality.items()},
    )
