"""Reads from a loaded model's configuration which engine runs it, and where."""

from __future__ import annotations

from typing import Any

_BF16_KEYS = ("HINT_BF16",)  # NVIDIA's OpenVINO backend knows this one alone


def engine_name(config: dict[str, Any]) -> str:
    """Return backend and precision, e.g. ``openvino bf16``."""
    backend = config.get("backend") or config.get("platform") or "unknown"
    parameters = {
        key: value.get("string_value", "") for key, value in config.get("parameters", {}).items()
    }
    if backend == "openvino":
        wanted = {parameters.get(key, "").lower() for key in _BF16_KEYS}
        return "openvino bf16" if "yes" in wanted else "openvino fp32"
    if backend == "tensorrt":
        return "tensorrt plan"
    if precision := _accelerated(config):
        return f"tensorrt {precision}"
    return f"{backend} fp32" if backend == "onnxruntime" else str(backend)


def _accelerated(config: dict[str, Any]) -> str:
    """Return the precision of ONNX Runtime's TensorRT provider, empty where it is not used."""
    wanted = config.get("optimization", {}).get("execution_accelerators", {})
    for accelerator in wanted.get("gpu_execution_accelerator", []):
        if accelerator.get("name") == "tensorrt":
            return str(accelerator.get("parameters", {}).get("precision_mode", "FP32")).lower()
    return ""


def device_name(config: dict[str, Any]) -> str:
    """Return ``cuda`` (first GPU), ``cuda:N`` or ``cpu`` from the instance groups Triton made."""
    for group in config.get("instance_group", []):
        if group.get("kind") == "KIND_GPU":
            index = int((group.get("gpus") or [0])[0])
            return f"cuda:{index}" if index else "cuda"
    return "cpu"


def placed_on(config: dict[str, Any], device: str) -> dict[str, Any]:
    """Return a copy of ``config`` whose instances run on ``device``."""
    count = sum(int(group.get("count", 1)) for group in config.get("instance_group", [])) or 1
    if device == "cpu":
        group: dict[str, Any] = {"kind": "KIND_CPU", "count": count}
    else:
        index = int(device.partition(":")[2] or 0)
        group = {"kind": "KIND_GPU", "count": count, "gpus": [index]}
    return {**config, "instance_group": [group]}
