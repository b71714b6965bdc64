"""Compiled graphs that outlive a process: OpenVINO compiles each once per machine, then maps it.

A folder of graphs is filled beside its place and moved there whole, because instances of a model
are processes that compile at the same moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ov_silent import openvino as ov

FOLDER = "PENTAD_COMPILED"
"""Environment variable with the folder; without it nothing is kept."""
DEVICE = "CPU"
_CPU = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")


def compile_graph(core: ov.Core, path: Path, properties: dict[str, Any]) -> ov.CompiledModel:
    """Return a graph file compiled for the CPU, from the folder where it is there.

    Args:
        core: Of this process.
        path: Graph file in a version folder of a model.
        properties: Of the device.

    Raises:
        RuntimeError: Not a valid graph, or not for this device.
    """
    root = os.environ.get(FOLDER)
    if not root:
        return core.compile_model(path, DEVICE, properties)
    model = Path(root) / path.parents[1].name
    place = model / _key(core, path, properties)
    if place.is_dir():
        with contextlib.suppress(Exception):  # damaged: as if it were not there
            kept = core.compile_model(path, DEVICE, {**properties, "CACHE_DIR": str(place)})
            _close(place)
            return kept
        shutil.rmtree(place, ignore_errors=True)
    try:
        model.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(dir=model))
    except OSError:  # no room: it is only slower
        return core.compile_model(path, DEVICE, properties)
    try:
        compiled = core.compile_model(path, DEVICE, {**properties, "CACHE_DIR": str(own)})
        _move(own, place)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return compiled


def _move(own: Path, place: Path) -> None:
    """Put a folder into its place unless another process was first; other versions go.

    One that stayed empty, as on a full disk, would be filled in its place by the next process.
    """
    with contextlib.suppress(OSError):
        if not any(own.iterdir()):
            return
        _close(own)
        own.rename(place)
        for old in place.parent.iterdir():
            if old != place and len(old.name) == len(place.name):
                shutil.rmtree(old, ignore_errors=True)


def _close(folder: Path) -> None:
    """Take from other users what OpenVINO gives them: it makes its files readable to the group."""
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            file.chmod(0o600)


def _key(core: ov.Core, path: Path, properties: dict[str, Any]) -> str:
    """Names what a compiled graph depends on."""
    status = path.stat()
    cpu = [core.get_property(DEVICE, name) for name in _CPU]
    parts = [ov.__version__, str(path), status.st_size, status.st_mtime_ns, properties, cpu]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
