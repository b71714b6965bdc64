"""Reads from a loaded model's configuration which engine runs it, and where."""

from __future__ import annotations

from typing import Any

from gateway.model_config import parameters

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
