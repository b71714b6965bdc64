from __future__ import annotations

from typing import Any

import pytest


def parameters(**values: str) -> dict[str, Any]:
    return {"name": "m", "parameters": {k: {"string_value": v} for k, v in values.items()}}


def test_onnxruntime_defaults() -> None:
    import onnxruntime as ort
    from ort_options import run_options, session_options

    options = session_options({})
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert run_options({}) is None


def test_onnxruntime_documented_parameters() -> None:
    import onnxruntime as ort
    from ort_options import run_options, session_options

    config = parameters(
        intra_op_thread_count="3",
        inter_op_thread_count="2",
        execution_mode="1",
        enable_mem_arena="0",
        enable_mem_pattern="false",
        share_session_between_instances="true",
        **{
            "session.use_device_allocator_for_initializers": "1",
            "session.intra_op.allow_spinning": "1",
            "memory.enable_memory_arena_shrinkage": "cpu:0",
        },
    )
    config["optimization"] = {"graph": {"level": -1}}
    options = session_options(config)
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 2
    assert options.execution_mode == ort.ExecutionMode.ORT_PARALLEL
    assert options.enable_cpu_mem_arena is False
    assert options.enable_mem_pattern is False
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    entry = options.get_session_config_entry
    assert entry("session.use_device_allocator_for_initializers") == "1"
    assert entry("session.intra_op.allow_spinning") == "1"
    run = run_options(config)
    assert run is not None
    assert run.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"


@pytest.mark.parametrize(("level", "name"), [(0, "ALL"), (1, "EXTENDED"), (2, "DISABLE_ALL")])
def test_onnxruntime_graph_levels(level: int, name: str) -> None:
    from ort_options import session_options

    options = session_options({"optimization": {"graph": {"level": level}}})
    assert options.graph_optimization_level.name.endswith(name)


@pytest.mark.parametrize(
    "bad",
    [
        parameters(execution_mode="2"),
        parameters(intra_op_thread_count="many"),
        parameters(enable_mem_arena="maybe"),
        parameters(share_session_between_instances="x"),
        {
            "optimization": {
                "execution_accelerators": {"cpu_execution_accelerator": [{"name": "openvino"}]}
            }
        },
        {"model_operations": {"op_library_filename": ["/no/such/library.so"]}},
    ],
)
def test_onnxruntime_refusals(bad: dict[str, Any]) -> None:
    from ort_options import session_options
    from pentad_backend.tensors import LoadError

    with pytest.raises(LoadError):
        session_options(bad)


def test_openvino_documented_parameters() -> None:
    from ov_options import device_properties

    assert device_properties({}) == {
        "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
    config = parameters(
        INFERENCE_NUM_THREADS="1",
        COMPILATION_NUM_THREADS="2",
        NUM_STREAMS="auto",
        PERFORMANCE_HINT="latency",
        HINT_BF16="yes",
    )
    assert device_properties(config) == {
        "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": True,
        "INFERENCE_NUM_THREADS": 1,
        "COMPILATION_NUM_THREADS": 2,
        "NUM_STREAMS": "AUTO",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16",
    }


@pytest.mark.parametrize(
    "bad",
    [
        parameters(INFERENCE_NUM_THREADS="one"),
        parameters(NUM_STREAMS="some"),
        parameters(PERFORMANCE_HINT="fast"),
        parameters(HINT_BF16="no"),
    ],
)
def test_openvino_bad_values(bad: dict[str, Any]) -> None:
    from ov_options import device_properties
    from pentad_backend.tensors import LoadError

    with pytest.raises(LoadError):
        device_properties(bad)


def test_openvino_refuses_what_nvidias_backend_would_not_answer() -> None:
    from ov_options import check_batching
    from pentad_backend.tensors import LoadError

    check_batching({"max_batch_size": 0}, "CPU")
    check_batching({"max_batch_size": 8, **parameters(ENABLE_BATCH_PADDING="YES")}, "CPU")
    with pytest.raises(LoadError, match="ENABLE_BATCH_PADDING"):
        check_batching({"max_batch_size": 8}, "CPU")
    with pytest.raises(LoadError, match="only CPU"):
        check_batching({}, "GPU")
