"""Device properties from a model configuration.

Keys and values follow the documentation of triton-inference-server/openvino_backend
("Parameters") and its ParseParameterHelper.
"""

from __future__ import annotations

from typing import Any

from pentad_backend.configuration import Config, int_parameter, max_batch_size, parameter
from pentad_backend.tensors import LoadError

_HINTS = ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT")


def device_properties(config: Config) -> dict[str, Any]:
    """Properties of the CPU device.

    Raises:
        LoadError: A value is not allowed.
    """
    # Every instance is a process of its own here: pinned, they would all sit on the same cores.
    # A denormal activation costs an Intel core some 150 cycles in place of one.
    properties: dict[str, Any] = {"ENABLE_CPU_PINNING": False, "CPU_DENORMALS_OPTIMIZATION": True}
    for key in ("INFERENCE_NUM_THREADS", "COMPILATION_NUM_THREADS"):
        if parameter(config, key):
            properties[key] = int_parameter(config, key)
    if hint := _choice(config, "PERFORMANCE_HINT", _HINTS):
        properties["PERFORMANCE_HINT"] = hint
    if _choice(config, "HINT_BF16", ("YES",)):
        properties["INFERENCE_PRECISION_HINT"] = "bf16"
    if streams := parameter(config, "NUM_STREAMS"):
        text = streams.upper()
        if text not in ("AUTO", "NUMA") and not text.isdecimal():
            raise LoadError(
                "expected the parameter 'NUM_STREAMS' to be either AUTO/NUMA/<int_value>, "
                f"got {streams}"
            )
        properties["NUM_STREAMS"] = text
    return properties


def switched_on(config: Config, key: str) -> bool:
    """Whether a YES/NO parameter is YES; other values count as NO in the C++ backend too."""
    return (parameter(config, key) or "").upper() == "YES"


def check_batching(config: Config, instance_kind: str) -> None:
    """Refuses what NVIDIA's backend would load but not serve.

    Raises:
        LoadError: Batches that it would answer with an error, or a device other than the CPU.
    """
    name = config.get("name", "")
    if instance_kind == "GPU":
        raise LoadError(
            f"unable to load model '{name}', Triton openVINO backend supports only CPU device"
        )
    if max_batch_size(config) > 1 and not switched_on(config, "ENABLE_BATCH_PADDING"):
        raise LoadError(
            f"unable to load model '{name}': with max_batch_size > 1 the openvino backend answers "
            "only full batches unless the parameter ENABLE_BATCH_PADDING is YES; use "
            "max_batch_size: 0 with the batch as first of dims to take any batch size"
        )


def _choice(config: Config, key: str, allowed: tuple[str, ...]) -> str | None:
    text = parameter(config, key)
    if not text:
        return None
    if text.upper() not in allowed:
        raise LoadError(f"expected the parameter '{key}' to be {'/'.join(allowed)}, got {text}")
    return text.upper()
