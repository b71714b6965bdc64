"""`python -m tests.gpu.check.machine DEVICE`: the device under test and the versions, as JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway.visible_cards import count_in_bus_order
from load_tests.machine import processor
from tests.gpu.check.options import ROOT

PACKAGES = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "numpy",
    "nvidia-pytriton",
    "tensorrt",
    "diffusers",
    "vllm",
)
DRIVER = Path("/proc/driver/nvidia/version")
UNUSABLE = "unusable"
"""The key under which `facts` says why the device cannot be used."""


def facts(device: str) -> dict[str, Any]:
    """What the report begins with; under ``unusable`` why torch cannot compute on the device."""
    cpu = processor()
    found: dict[str, Any] = {
        "device": cpu["cpu"],
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "processor": f"{cpu['cpu']}, {cpu['cores']} cores",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "driver": _driver(),
    }
    found = {key: value for key, value in found.items() if value}
    if device == "cpu":
        return {**found, "note": "run on the CPU, to see that everything but CUDA works"}
    try:
        return {**found, **_gpu(device)}
    except ImportError:
        return {**found, "device": "GPU", "note": "torch is not installed"}
    except Exception as error:  # torch's errors have no common base
        return {**found, UNUSABLE: str(error).splitlines()[0]}


def _gpu(device: str) -> dict[str, Any]:
    """Facts of a GPU on which a kernel has run: a driver that is too old shows its GPUs, too."""
    import torch

    total = (torch.zeros(1, device=device) + 1).item()
    assert total == 1, f"0 + 1 is {total}"
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": properties.name,
        "compute capability": f"{properties.major}.{properties.minor}",
        "memory": f"{properties.total_memory / 1e9:.1f} GB",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "gpus of the machine": torch.cuda.device_count(),
    }


def _driver() -> str:
    """Version of the NVIDIA driver's kernel module; empty without one."""
    try:
        found = re.search(r"Kernel Module[^\d]*([\d.]+)", DRIVER.read_text())
    except OSError:
        return ""
    return found[1] if found else ""


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return ended.stdout.strip()


def _version(package: str) -> str:
    for name in (package, f"{package}-cu13", f"{package}-cu12"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


if __name__ == "__main__":
    count_in_bus_order()
    print(json.dumps(facts(sys.argv[1])))
