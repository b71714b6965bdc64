"""GPU instances of the Python-based onnxruntime backend: which providers on which card, or why not.

The card is a stand-in: sessions are real ones on the CPU that claim the providers they were asked
for. What a real onnxruntime-gpu answers where it finds no driver: `test_real_onnxruntime_gpu.py`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from gateway.model_config import read_config
from tests.support.plan_models import graph
from tests.support.text_models import REPOSITORY

TRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
TENSORRT_KEYS = {
    "precision_mode": "FP16",
    "max_workspace_size_bytes": "1073741824",
    "trt_max_partition_iterations": "10",
    "trt_min_subgraph_size": "2",
    "int8_calibration_table_name": "table",
    "int8_use_native_calibration_table": "false",
    "trt_dla_enable": "0",
    "trt_dla_core": "0",
    "trt_engine_cache_enable": "True",
    "trt_engine_cache_path": "/cache",
    "trt_engine_cache_prefix": "p",
    "trt_dump_subgraphs": "0",
    "trt_force_sequential_engine_build": "1",
    "trt_context_memory_sharing_enable": "1",
    "trt_layer_norm_fp32_fallback": "1",
    "trt_timing_cache_enable": "1",
    "trt_timing_cache_path": "/cache",
    "trt_force_timing_cache": "0",
    "trt_detailed_build_log": "0",
    "trt_build_heuristics_enable": "0",
    "trt_sparsity_enable": "0",
    "trt_builder_optimization_level": "3",
    "trt_auxiliary_streams": "-1",
    "trt_tactic_sources": "-CUDNN,+CUBLAS",
    "trt_extra_plugin_lib_paths": "",
    "trt_profile_min_shapes": "x:1x1",
    "trt_profile_opt_shapes": "x:4x16",
    "trt_profile_max_shapes": "x:8x32",
    "trt_cuda_graph_enable": "0",
    "trt_dump_ep_context_model": "0",
    "trt_ep_context_file_path": "/cache",
    "trt_ep_context_embed_mode": "0",
}
"""Every key that NVIDIA's backend reads."""


def config(
    accelerators: list[dict[str, Any]] | None = None, parameters: dict[str, str] | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": "tiny",
        "optimization": {
            "execution_accelerators": {"gpu_execution_accelerator": accelerators or []}
        },
        "parameters": {k: {"string_value": v} for k, v in (parameters or {}).items()},
    }
    return made


def wanted(given: dict[str, Any], device: int = 0, kind: str = "GPU") -> dict[str, dict[str, str]]:
    from ort_accelerators import gpu_providers
    from pentad_backend.placement import Placement

    return dict(gpu_providers(given, Placement(kind, device)))


def test_every_key_of_the_tensorrt_accelerator_is_known() -> None:
    found = wanted(config([{"name": "tensorrt", "parameters": TENSORRT_KEYS}]), device=2)
    assert list(found) == [TRT, CUDA]
    options = found[TRT]
    assert options["trt_fp16_enable"] == "1"
    assert options["trt_max_workspace_size"] == "1073741824"
    assert options["trt_int8_calibration_table_name"] == "table"
    assert options["trt_int8_use_native_calibration_table"] == "0"
    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_auxiliary_streams"] == "-1"
    assert "trt_extra_plugin_lib_paths" not in options  # an empty text is none
    assert options["device_id"] == found[CUDA]["device_id"] == "2"
    same = set(TENSORRT_KEYS) - {"trt_extra_plugin_lib_paths"}
    assert {key for key in same if key.startswith("trt_")} <= set(options)


@pytest.mark.parametrize(
    ("mode", "option"),
    [("FP32", None), ("BF16", "trt_bf16_enable"), ("INT8", "trt_int8_enable")],
)
def test_precisions(mode: str, option: str | None) -> None:
    options = wanted(config([{"name": "tensorrt", "parameters": {"precision_mode": mode}}]))[TRT]
    assert options == {"device_id": "0", **({option: "1"} if option else {})}


def test_the_models_parameters_win_over_the_cuda_accelerators() -> None:
    """As in NVIDIA's backend, whose defaults for the parameters win, too."""
    accelerator = {
        "name": "cuda",
        "parameters": {
            "use_tf32": "0",
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "prefer_nhwc": "1",
            "use_ep_level_unified_stream": "true",
            "user_compute_stream": "140",
            "has_user_compute_stream": "1",
            "device_id": "7",
        },
    }
    assert wanted(config([accelerator]))[CUDA] == {
        "use_tf32": "0",
        "prefer_nhwc": "1",
        "use_ep_level_unified_stream": "1",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "arena_extend_strategy": "kNextPowerOfTwo",
        "gpu_mem_limit": str(2**64 - 1),
        "do_copy_in_default_stream": "1",
        "device_id": "0",
        "has_user_compute_stream": "0",
    }
    mine = {
        "cudnn_conv_algo_search": "1",
        "arena_extend_strategy": "1",
        "gpu_mem_limit": "2147483648",
        "do_copy_in_default_stream": "0",
    }
    found = wanted(config([accelerator], mine))[CUDA]
    assert found["cudnn_conv_algo_search"] == "HEURISTIC"
    assert found["arena_extend_strategy"] == "kSameAsRequested"
    assert found["gpu_mem_limit"] == "2147483648"
    assert found["do_copy_in_default_stream"] == "0"
    plain = {key: value for key, value in config([accelerator]).items() if key != "parameters"}
    assert wanted(plain)[CUDA]["cudnn_conv_algo_search"] == "HEURISTIC"


@pytest.mark.parametrize(
    ("accelerators", "parameters", "message"),
    [
        ([{"name": "openvino"}], {}, "unknown Execution Accelerator 'openvino' is requested"),
        ([{"name": "tensorrt", "parameters": {"precision_mode": "FP8"}}], {},
         "unsupported precision mode 'FP8' is requested"),
        ([{"name": "tensorrt", "parameters": {"fp16": "1"}}], {},
         "unknown parameter 'fp16' is provided for TensorRT Execution Accelerator"),
        ([{"name": "tensorrt", "parameters": {"trt_dla_core": "x"}}], {}, "trt_dla_core"),
        ([{"name": "tensorrt", "parameters": {"trt_dla_enable": "x"}}], {}, "trt_dla_enable"),
        ([{"name": "cuda", "parameters": {"do_copy_in_default_stream": "x"}}], {}, "do_copy"),
        ([], {"cudnn_conv_algo_search": "3"},
         "unsupported cudnn_conv_algo_search value '3' is requested"),
        ([], {"cudnn_conv_algo_search": "HEURISTIC"}, "cudnn_conv_algo_search"),
        ([], {"arena_extend_strategy": "2"},
         "unsupported arena_extend_strategy value '2' is requested"),
        ([], {"gpu_mem_limit": "2 GB"}, "gpu_mem_limit"),
        ([], {"do_copy_in_default_stream": "perhaps"}, "do_copy_in_default_stream"),
    ],
)  # fmt: skip
def test_refusals(
    accelerators: list[dict[str, Any]], parameters: dict[str, str], message: str
) -> None:
    from pentad_backend.tensors import LoadError

    with pytest.raises(LoadError, match=message):
        wanted(config(accelerators, parameters))


def test_the_repositorys_own_configurations_pass() -> None:
    files = [*REPOSITORY.glob("*/config.pbtxt"), *REPOSITORY.glob("*/configs/*.pbtxt")]
    configs = [read_config(file) for file in files]
    networks = [one for one in configs if one.get("backend") == "onnxruntime"]
    assert len(networks) >= 5
    for one in networks:
        assert CUDA in wanted({"parameters": {}, **one}), one["name"]


@pytest.mark.parametrize(
    ("args", "kind", "device", "gpu"),
    [
        ({"model_instance_kind": "GPU", "model_instance_device_id": "3"}, "GPU", 3, True),
        ({"model_instance_kind": "AUTO", "model_instance_device_id": "0"}, "AUTO", 0, True),
        ({"model_instance_kind": "CPU", "model_instance_device_id": "0"}, "CPU", 0, False),
        ({"model_instance_kind": "MODEL", "model_instance_device_id": "-1"}, "MODEL", 0, False),
    ],
)
def test_placement_is_what_triton_says(
    args: dict[str, str], kind: str, device: int, gpu: bool
) -> None:
    from pentad_backend.placement import Placement

    found = Placement.of(args)
    assert (found.kind, found.device, found.wants_gpu) == (kind, device, gpu)


class Card:
    """Sessions on the CPU that claim a card; `broken` ones fail as onnxruntime-gpu does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import ort_gpu

        self.asked: list[list[tuple[str, dict[str, str]]]] = []
        self.available = [TRT, CUDA, CPU]
        self.unloadable: dict[str, str] = {}
        self.unknown_options: set[str] = set()
        self.driver_error = ""
        self.memory = 10**9
        self._real = ort.InferenceSession
        monkeypatch.setattr(ort, "get_available_providers", lambda: self.available)
        monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
        monkeypatch.setattr(ort, "InferenceSession", self.session)
        monkeypatch.setattr(ort_gpu.ctypes, "CDLL", self.library)

    def library(self, path: str, mode: int = 0) -> object:
        if error := self.unloadable.get(Path(path).name):
            raise OSError(error)
        return object()

    def session(self, model: Any, options: Any, providers: Any, enable_fallback: int) -> Any:
        assert enable_fallback == 0, "a silent fallback could not be told"
        given = [one if isinstance(one, tuple) else (one, {}) for one in providers]
        self.asked.append(given)
        names = [name for name, _ in given]
        probe = isinstance(model, bytes)
        if CUDA in names:
            if self.driver_error:
                raise RuntimeError(self.driver_error)
            for _, found in given:
                if bad := self.unknown_options & set(found):
                    raise RuntimeError(f"Unknown provider option: {bad.pop()}")
            if not probe and self.memory == 0:
                raise RuntimeError("/src/x.cc:1 CUDA failure 2: out of memory ; GPU=0 ; file=/b.cc")
        session = self._real(model, options, providers=[CPU])
        session.get_providers = lambda: names
        return session


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    return Card(monkeypatch)


def load(tmp_path: Path, given: dict[str, Any], device: int = 0, kind: str = "GPU") -> Any:
    from ort_engine import OrtEngine
    from pentad_backend.placement import Placement

    (tmp_path / "model.onnx").write_bytes(graph(1.0))
    engine = OrtEngine.load(given, tmp_path / "model.onnx", Placement(kind, device))
    (y,) = engine.run({"x": np.zeros((2, 3), np.float32)}, ["y"])
    assert y.tolist() == [[1.0] * 3] * 2
    return engine.computed


@pytest.mark.parametrize("kind", ["GPU", "AUTO"])
def test_a_gpu_instance_computes_on_its_card(tmp_path: Path, card: Card, kind: str) -> None:
    found = load(tmp_path, config(), device=1, kind=kind)
    assert (found.provider, found.device, found.reason) == ("cuda", "cuda:1", "")
    probe, session = card.asked
    assert [name for name, _ in probe] == [name for name, _ in session] == [CUDA, CPU]
    assert {options["device_id"] for _, options in (probe[0], session[0])} == {"1"}


def test_a_cpu_instance_asks_for_no_card(tmp_path: Path, card: Card) -> None:
    assert load(tmp_path, config([{"name": "tensorrt"}]), kind="CPU").provider == "cpu"
    assert card.asked == [[(CPU, {})]]


def test_tensorrt_comes_first(tmp_path: Path, card: Card) -> None:
    found = load(tmp_path, config([{"name": "tensorrt"}]))
    assert (found.provider, found.reason) == ("tensorrt", "")
    assert [name for name, _ in card.asked[-1]] == [TRT, CUDA, CPU]


def test_without_tensorrts_library_cuda_computes_and_says_why(tmp_path: Path, card: Card) -> None:
    card.unloadable["libonnxruntime_providers_tensorrt.so"] = (
        "libnvinfer.so.10: cannot open shared object file: No such file or directory"
    )
    found = load(tmp_path, config([{"name": "tensorrt"}]))
    assert (found.provider, found.device) == ("cuda", "cuda:0")
    assert found.reason == "libnvinfer.so.10 is missing"
    assert [name for name, _ in card.asked[-1]] == [CUDA, CPU]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"available": [CPU]}, "this onnxruntime has no CUDA provider; onnxruntime-gpu has"),
        ({"unloadable": {"libonnxruntime_providers_cuda.so":
                         "libcublasLt.so.13: cannot open shared object file: No such file"}},
         "libcublasLt.so.13 is missing"),
        ({"unloadable": {"libonnxruntime_providers_cuda.so": "/a/b/c.so: invalid ELF header"}},
         "the CUDA provider is broken"),
        ({"driver_error": "/onnxruntime_src/x.cc:129 CUDA failure 35: CUDA driver version is "
                          "insufficient for CUDA runtime version ; GPU=-1 ; file=/s/x.cc"},
         "CUDA: CUDA driver version is insufficient for CUDA runtime version"),
        ({"driver_error": "something else in /a/path"},
         "the CUDA provider does not work on this card"),
        ({"memory": 0}, "CUDA: out of memory"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_and_the_cpu_computes(
    tmp_path: Path, card: Card, change: dict[str, Any], reason: str
) -> None:
    vars(card).update(change)
    found = load(tmp_path, config([{"name": "tensorrt"}]))
    assert (found.provider, found.device, found.reason) == ("cpu", "cpu", reason)
    assert "/" not in found.reason


def test_options_that_the_provider_refuses_refuse_the_model(tmp_path: Path, card: Card) -> None:
    from pentad_backend.tensors import LoadError

    card.unknown_options = {"use_tf64"}
    with pytest.raises(LoadError, match="Unknown provider option: use_tf64"):
        load(tmp_path, config([{"name": "cuda", "parameters": {"use_tf64": "1"}}]))


def test_bad_accelerators_are_refused_without_a_card_too(tmp_path: Path, card: Card) -> None:
    from pentad_backend.tensors import LoadError

    card.available = [CPU]
    with pytest.raises(LoadError, match="unknown Execution Accelerator 'mystery'"):
        load(tmp_path, config([{"name": "mystery"}]))


def test_a_provider_that_silently_is_not_there_is_noticed(
    tmp_path: Path, card: Card, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ort_engine

    monkeypatch.setattr(ort_engine, "unusable", lambda device: "")
    real = card.session

    def without_cuda(*given: Any, **named: Any) -> Any:
        session = real(*given, **named)
        session.get_providers = lambda: [CPU]
        return session

    monkeypatch.setattr(ort, "InferenceSession", without_cuda)
    with caplog.at_level(logging.WARNING):
        found = load(tmp_path, config())
    assert found.provider == "cpu"
    assert "no CUDA provider could be made" in found.reason
    assert found.reason in caplog.text


def test_a_wrong_graph_is_refused_on_a_card(tmp_path: Path, card: Card) -> None:
    from ort_engine import OrtEngine
    from pentad_backend.placement import Placement
    from pentad_backend.tensors import LoadError

    (tmp_path / "model.onnx").write_bytes(graph(1.0)[:20])
    with pytest.raises(LoadError, match="onnx runtime error"):
        OrtEngine.load(config(), tmp_path / "model.onnx", Placement("GPU"))
