"""Session options from a model configuration.

Keys, values and defaults follow the documentation of triton-inference-server/onnxruntime_backend
("Model Config Options") and its ModelState constructor.
"""

from __future__ import annotations

import onnxruntime as ort
from ort_accelerators import refuse_cpu_accelerators
from pentad_backend.configuration import Config, bool_parameter, int_parameter, parameter
from pentad_backend.tensors import LoadError

_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_SESSION_ENTRIES = ("session.use_device_allocator_for_initializers",)
_SPINNING = ("session.intra_op.allow_spinning", "session.inter_op.allow_spinning")
FLUSH = "session.set_denormal_as_zero"
_SHRINKAGE = "memory.enable_memory_arena_shrinkage"


def session_options(config: Config) -> ort.SessionOptions:
    """Options of the session.

    Raises:
        LoadError: A value is not allowed, or asks for an accelerator that is not here.
    """
    refuse_cpu_accelerators(config)
    options = ort.SessionOptions()
    optimization = config.get("optimization") or {}
    level = int((optimization.get("graph") or {}).get("level", 0))
    options.graph_optimization_level = _LEVELS.get(level, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    mode = int_parameter(config, "execution_mode")
    if mode not in (0, 1):
        raise LoadError(
            "Invalid configuration value provided. Expected values for execution_mode are 0 or 1 "
            f"but got {mode}."
        )
    if mode == 1:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.intra_op_num_threads = int_parameter(config, "intra_op_thread_count")
    options.inter_op_num_threads = int_parameter(config, "inter_op_thread_count")
    arena = bool_parameter(config, "enable_mem_arena")
    if arena is not None:
        options.enable_cpu_mem_arena = arena
    pattern = bool_parameter(config, "enable_mem_pattern")
    if pattern is not None:
        options.enable_mem_pattern = pattern
    for key in _SESSION_ENTRIES:
        if (value := parameter(config, key)) is not None:
            options.add_session_config_entry(key, value)
    for key in _SPINNING:
        # Off unless asked for: threads that spin between requests starve the other instances.
        options.add_session_config_entry(key, "1" if bool_parameter(config, key) else "0")
    # A denormal activation costs an Intel core some 150 cycles. This works for the first session of
    # a process, which is the only one here.
    flush = bool_parameter(config, FLUSH)
    options.add_session_config_entry(FLUSH, "0" if flush is False else "1")
    bool_parameter(config, "share_session_between_instances")  # instances are processes here
    for library in (config.get("model_operations") or {}).get("op_library_filename", []):
        try:
            options.register_custom_ops_library(library)
        except Exception as error:
            raise LoadError(f"onnx runtime error: {error}") from error
    return options


def run_options(config: Config) -> ort.RunOptions | None:
    """Options of each run, or None when the defaults do."""
    value = parameter(config, _SHRINKAGE)
    if value is None:
        return None
    options = ort.RunOptions()
    options.add_run_config_entry(_SHRINKAGE, value)
    return options
