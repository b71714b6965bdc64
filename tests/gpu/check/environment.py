"""The device under test, and the versions that matter."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from typing import Any

from gateway.capacity.machine import this_machine
from load_tests.machine import processor

PACKAGES = ("nvidia-pytriton", "torch", "onnxruntime", "onnxruntime-gpu", "tensorrt", "numpy")


def facts(device: str) -> dict[str, Any]:
    """What the report begins with.

    Raises:
        SystemExit: there is no such device.
    """
    import torch

    cpu = processor()
    found: dict[str, Any] = {
        "device": cpu["cpu"],
        "date": datetime.date.today().isoformat(),
        "processor": f"{cpu['cpu']}, {cpu['cores']} cores",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }
    if device == "cpu":
        return {**found, "note": "run on the CPU, to see that everything but CUDA works"}
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device; --device cpu runs the check without one")
    properties = torch.cuda.get_device_properties(device)
    return {
        **found,
        "device": properties.name,
        "compute capability": f"{properties.major}.{properties.minor}",
        "memory": f"{properties.total_memory / 1e9:.1f} GB",
        "cuda": torch.version.cuda,
        "gpus of the machine": len(this_machine().gpus),
    }


def _version(package: str) -> str:
    for name in (package, f"{package}-cu13", f"{package}-cu12"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
