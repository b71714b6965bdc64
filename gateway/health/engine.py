"""Which engine runs a loaded network, and where: as configured, and as its backend reports.

Triton's configuration says where an instance was wanted. A Python-based backend of the embedded
server that could not have the GPU computes on the CPU, and tells that in a file of its own process
(`pentad_backend.placement`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gateway.model_config import parameters
from gateway.triton.placing import placed_on

_BF16_KEYS = ("HINT_BF16",)  # NVIDIA's OpenVINO backend knows this one alone


def engine_name(config: dict[str, Any]) -> str:
    """Return backend and precision, e.g. ``openvino bf16``.

    ``tf32`` says that a GPU may multiply FP32 numbers with ten bits of mantissa, as ONNX Runtime's
    CUDA provider does unless ``use_tf32`` is 0, and TensorRT's in FP32 always.
    """
    backend = config.get("backend") or config.get("platform") or "unknown"
    if backend == "openvino":
        values = parameters(config)
        wanted = {values.get(key, "").lower() for key in _BF16_KEYS}
        return "openvino bf16" if "yes" in wanted else "openvino fp32"
    if backend == "tensorrt":
        return "tensorrt plan"
    if backend != "onnxruntime":
        return str(backend)
    if not _on_gpu(config):
        return "onnxruntime fp32"
    providers = _gpu_providers(config)
    if "tensorrt" in providers:
        precision = providers["tensorrt"].get("precision_mode", "FP32").lower()
        return f"tensorrt {'tf32' if precision == 'fp32' else precision}"
    exact = providers.get("cuda", {}).get("use_tf32") in ("0", "False", "false")
    return f"onnxruntime {'fp32' if exact else 'tf32'}"


def _on_gpu(config: dict[str, Any]) -> bool:
    return any(group.get("kind") == "KIND_GPU" for group in config.get("instance_group", []))


def _gpu_providers(config: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what ONNX Runtime's providers for GPUs are given, by their name."""
    wanted = config.get("optimization", {}).get("execution_accelerators", {})
    return {
        accelerator.get("name", ""): dict(accelerator.get("parameters", {}))
        for accelerator in wanted.get("gpu_execution_accelerator", [])
    }


def device_name(config: dict[str, Any]) -> str:
    """Return ``cuda`` (first GPU), ``cuda:N`` or ``cpu`` from the instance groups Triton made."""
    for group in config.get("instance_group", []):
        if group.get("kind") == "KIND_GPU":
            index = int((group.get("gpus") or [0])[0])
            return f"cuda:{index}" if index else "cuda"
    return "cpu"


def network_fact(config: dict[str, Any], plan_rows: int) -> dict[str, Any] | None:
    """Return what a caller must know of a loaded network that is on GPUs; None of others.

    Args:
        config: of the network, as Triton loaded it.
        plan_rows: most rows of the plan that it may be changed for; 0 without one.
    """
    if not _on_gpu(config):
        return None
    groups = config["instance_group"]
    rows = [limit for limit in (int(config.get("max_batch_size", 0)), plan_rows) if limit]
    return {
        "device": device_name(config),
        "instances": sum(
            int(group.get("count", 1)) * max(1, len(group.get("gpus", []))) for group in groups
        ),
        "most_rows": min(rows, default=0),
    }


@dataclass(frozen=True, order=True)
class Computed:
    """A report.

    Attributes:
        provider: ``cpu``, ``cuda`` or ``tensorrt``.
        device: ``cpu`` or ``cuda:N``.
        reason: why that is not what was asked for; empty where it is.
    """

    backend: str
    provider: str
    device: str
    reason: str


class Reports:
    """The reports of one Triton on this machine; of another one there are none."""

    def __init__(self, folder: Path) -> None:
        """``folder``: `gateway.private_files.ENGINES` below `paths.state`."""
        self._folder = folder

    def of(self, model: str) -> Computed | None:
        """Return what a model's processes report; None where none does. Reads files.

        Of several processes of one backend the one that lacks something speaks for all.
        """
        reports = [
            report for file in self._folder.glob(f"{model}.*.json") if (report := _read(file))
        ]
        if not reports:
            return None
        newest = max(reports)[1]
        same = [report for _, report in reports if report.backend == newest.backend]
        return next((report for report in same if report.reason), newest)


def _read(file: Path) -> tuple[int, Computed] | None:
    """Return a report and when it was written; None of a process that is gone."""
    _, pid, _ = file.name.rsplit(".", 2)
    if not pid.isdecimal() or not _alive(int(pid)):
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        fields = {name: str(content[name]) for name in Computed.__dataclass_fields__}
        return file.stat().st_mtime_ns, Computed(**fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is just being replaced, or its process has just ended


def _alive(pid: int) -> bool:
    """Whether a process is there and no zombie: Triton leaves killed ones so for a while."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def engine_and_device(config: dict[str, Any], report: Computed | None) -> tuple[str, str]:
    """Return the names of both for a network, by what its backend reports where it does.

    Args:
        config: as Triton has loaded it.
        report: of the backend, if there is one.
    """
    if report is not None and report.backend != config.get("backend"):
        report = None
    real = as_computed(config, report)
    name, device = engine_name(real), device_name(real)
    if report is not None and report.reason:
        name = f"{name} ({report.provider.upper()}: {report.reason})"
    return name, device


def as_computed(config: dict[str, Any], report: Computed | None) -> dict[str, Any]:
    """Return the configuration that would say what the backend reports; the same without a report.

    Args:
        config: as Triton has loaded it.
        report: of the backend, if there is one.
    """
    if report is None or report.backend != config.get("backend") or report.provider == "tensorrt":
        return config
    if report.provider == "cpu":
        return placed_on(config, "cpu")
    optimization = dict(config.get("optimization") or {})
    wanted = dict(optimization.get("execution_accelerators") or {})
    accelerators = wanted.get("gpu_execution_accelerator") or []
    wanted["gpu_execution_accelerator"] = [
        accelerator for accelerator in accelerators if accelerator.get("name") != "tensorrt"
    ]
    return {**config, "optimization": {**optimization, "execution_accelerators": wanted}}
