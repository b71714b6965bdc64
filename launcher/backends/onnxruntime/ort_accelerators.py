"""GPU providers and their options from a model configuration.

Keys, values, precedence and refusals follow ModelState::LoadModel of
triton-inference-server/onnxruntime_backend (src/onnxruntime.cc).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pentad_backend.configuration import Config, parameter
from pentad_backend.placement import Placement
from pentad_backend.tensors import LoadError

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
Provider = tuple[str, dict[str, str]]

_PRECISIONS = {
    "FP32": {},
    "FP16": {"trt_fp16_enable": "1"},
    "BF16": {"trt_bf16_enable": "1"},
    "INT8": {"trt_int8_enable": "1"},
}
_RENAMED = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}
_NUMBERS = frozenset(
    (
        "max_workspace_size_bytes",
        "trt_max_partition_iterations",
        "trt_min_subgraph_size",
        "trt_dla_core",
        "trt_builder_optimization_level",
        "trt_auxiliary_streams",
        "trt_ep_context_embed_mode",
    )
)
_SWITCHES = frozenset(
    (
        "int8_use_native_calibration_table",
        "trt_dla_enable",
        "trt_engine_cache_enable",
        "trt_dump_subgraphs",
        "trt_force_sequential_engine_build",
        "trt_context_memory_sharing_enable",
        "trt_layer_norm_fp32_fallback",
        "trt_timing_cache_enable",
        "trt_force_timing_cache",
        "trt_detailed_build_log",
        "trt_build_heuristics_enable",
        "trt_sparsity_enable",
        "trt_cuda_graph_enable",
        "trt_dump_ep_context_model",
    )
)
_TEXTS = frozenset(
    (
        "int8_calibration_table_name",
        "trt_engine_cache_path",
        "trt_engine_cache_prefix",
        "trt_timing_cache_path",
        "trt_tactic_sources",
        "trt_extra_plugin_lib_paths",
        "trt_profile_min_shapes",
        "trt_profile_max_shapes",
        "trt_profile_opt_shapes",
        "trt_ep_context_file_path",
    )
)
_CUDA_SWITCHES = ("do_copy_in_default_stream", "use_ep_level_unified_stream")
_SEARCHES = ("EXHAUSTIVE", "HEURISTIC", "DEFAULT")
_STRATEGIES = ("kNextPowerOfTwo", "kSameAsRequested")
_NO_LIMIT = str(2**64 - 1)


def gpu_providers(config: Config, placement: Placement) -> list[Provider]:
    """Return the providers of an instance on a GPU, most wanted first, without the CPU's.

    Raises:
        LoadError: An accelerator, a key or a value that NVIDIA's backend refuses, too.
    """
    device = {"device_id": str(placement.device)}
    providers: list[Provider] = []
    cuda: dict[str, str] = {}
    for accelerator in _accelerators(config, "gpu_execution_accelerator"):
        name = accelerator.get("name", "")
        parameters = {
            key: str(value) for key, value in (accelerator.get("parameters") or {}).items()
        }
        if name == "tensorrt":
            providers.append((TENSORRT, {**_tensorrt(parameters), **device}))
        elif name == "cuda":
            cuda.update(_cuda(parameters))
        else:
            raise LoadError(f"unknown Execution Accelerator '{name}' is requested")
    cuda.pop("user_compute_stream", None)  # an address in a process that is not this one
    cuda.update({**_cuda_parameters(config), **device, "has_user_compute_stream": "0"})
    return [*providers, (CUDA, cuda)]


def refuse_cpu_accelerators(config: Config) -> None:
    """Refuses accelerators of CPU instances; those of GPU instances do not concern them.

    Raises:
        LoadError: There is one.
    """
    for accelerator in _accelerators(config, "cpu_execution_accelerator"):
        name = accelerator.get("name", "")
        raise LoadError(
            f"unknown Execution Accelerator '{name}' is requested: the embedded onnxruntime has "
            'only its CPU provider (for OpenVINO use backend: "openvino")'
        )


def _accelerators(config: Config, key: str) -> list[Mapping[str, Any]]:
    optimization = config.get("optimization") or {}
    accelerators = (optimization.get("execution_accelerators") or {}).get(key)
    return list(accelerators or ())


def _tensorrt(parameters: Mapping[str, str]) -> dict[str, str]:
    """Options of the TensorRT provider; empty texts are left out."""
    options: dict[str, str] = {}
    for key, text in parameters.items():
        if key == "precision_mode":
            if text not in _PRECISIONS:
                raise LoadError(f"unsupported precision mode '{text}' is requested")
            options.update(_PRECISIONS[text])
            continue
        if key in _NUMBERS:
            value = str(_number(key, text))
        elif key in _SWITCHES:
            value = _switch(key, text)
        elif key in _TEXTS:
            value = text
        else:
            raise LoadError(
                f"unknown parameter '{key}' is provided for TensorRT Execution Accelerator"
            )
        if value:
            options[_RENAMED.get(key, key)] = value
    return options


def _cuda(parameters: Mapping[str, str]) -> dict[str, str]:
    """Options of the CUDA provider by its own names, which it checks itself."""
    checked = {
        key: _switch(key, text) if key in _CUDA_SWITCHES else text
        for key, text in parameters.items()
    }
    return {key: value for key, value in checked.items() if value}


def _cuda_parameters(config: Config) -> dict[str, str]:
    """Return what the model's own parameters say; they win over the accelerator's."""
    if "parameters" not in config:
        return {}
    return {
        "cudnn_conv_algo_search": _choice(config, "cudnn_conv_algo_search", _SEARCHES),
        "gpu_mem_limit": _limit(config),
        "arena_extend_strategy": _choice(config, "arena_extend_strategy", _STRATEGIES),
        "do_copy_in_default_stream": _switch(
            "do_copy_in_default_stream", parameter(config, "do_copy_in_default_stream") or "1"
        ),
    }


def _limit(config: Config) -> str:
    text = parameter(config, "gpu_mem_limit")
    return _NO_LIMIT if text is None else str(_number("gpu_mem_limit", text))


def _choice(config: Config, key: str, names: tuple[str, ...]) -> str:
    """Return the name that a parameter gives by its number; the first by default."""
    number = _number(key, parameter(config, key) or "0")
    if not 0 <= number < len(names):
        raise LoadError(f"unsupported {key} value '{number}' is requested")
    return names[number]


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise LoadError(f"the parameter '{key}' must be a number, got '{text}'") from None


def _switch(key: str, text: str) -> str:
    if text.lower() in {"1", "true"}:
        return "1"
    if text.lower() in {"0", "false"}:
        return "0"
    raise LoadError(f"the parameter '{key}' must be 0, 1, true or false, got '{text}'")
