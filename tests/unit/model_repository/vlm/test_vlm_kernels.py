"""How vLLM starts where nvcc, ninja or a C compiler is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import engine_kernels
import pytest
import stub_interpreter
import video_language_engine
from engine_kernels import MissingCompilerError, attention, check_compiler, variables

NAMES = (engine_kernels.SAMPLER, engine_kernels.DEEP_GEMM)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without a CUDA toolkit and without any program; returns its only folder on PATH."""
    for name in (*NAMES, "CUDA_HOME", "CUDA_PATH", "CC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engine_kernels, "TOOLKIT", str(tmp_path / "cuda"))
    return tmp_path


def _program(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)


@pytest.fixture(params=["CUDA_HOME", "CUDA_PATH", "PATH", "default"])
def toolkit(request: pytest.FixtureRequest, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nvcc, in each of the places where FlashInfer looks, and ninja."""
    home = bare / ("cuda" if request.param == "default" else "elsewhere")
    _program(home / "bin" / "nvcc")
    _program(bare / "ninja")
    if request.param == "PATH":
        monkeypatch.setenv("PATH", f"{bare}{os.pathsep}{home / 'bin'}")
    elif request.param != "default":
        monkeypatch.setenv(request.param, str(home))
    return home


def test_vllm_samples_without_flashinfer_and_deep_gemm_where_there_is_no_nvcc(bare: Path) -> None:
    assert variables() == {"VLLM_USE_FLASHINFER_SAMPLER": "0", "VLLM_USE_DEEP_GEMM": "0"}
    _program(bare / "cuda" / "bin" / "nvcc")
    assert "VLLM_USE_DEEP_GEMM" in variables()  # ninja is still missing


def test_with_a_toolkit_only_the_sampler_is_spared(toolkit: Path) -> None:
    assert variables() == {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
    assert attention(10) is None


@pytest.mark.parametrize(
    ("capability", "wanted"), [(8, None), (9, None), (10, "FLASH_ATTN"), (12, None)]
)
def test_attention_without_a_toolkit(bare: Path, capability: int, wanted: str | None) -> None:
    assert attention(capability) == wanted


def test_an_operator_overrides_every_variable(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: os.environ.get(name) for name in stub_interpreter.DEFAULTS}
    executable = sys.executable
    monkeypatch.setenv(engine_kernels.SAMPLER, "1")
    monkeypatch.setenv(engine_kernels.DEEP_GEMM, "")  # restored when the test ends
    monkeypatch.delenv(engine_kernels.DEEP_GEMM)
    try:
        stub_interpreter.prepare(offline=False)
        assert os.environ[engine_kernels.SAMPLER] == "1"
        assert os.environ[engine_kernels.DEEP_GEMM] == "0"
    finally:
        sys.executable = executable
        stub_interpreter.multiprocessing.set_executable(executable)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)


def test_a_missing_compiler_is_a_sentence(bare: Path) -> None:
    with pytest.raises(MissingCompilerError, match=r"C compiler \(gcc\) and Python's headers"):
        check_compiler(sys.executable)


def test_a_compiler_without_headers_is_the_same_sentence(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = bare / "cc"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(MissingCompilerError):
        check_compiler(sys.executable)
    compiler.write_text("#!/bin/sh\nexit 0\n")
    check_compiler(sys.executable)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """vLLM's platform, a GPU of capability 10.0; vLLM itself is not in this environment."""
    platform = SimpleNamespace(
        is_cuda=lambda: True, get_device_capability=lambda: SimpleNamespace(major=10, minor=0)
    )
    module: Any = ModuleType("vllm.platforms")
    module.current_platform = platform
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.platforms", module)
    monkeypatch.setattr(engine_kernels, "check_compiler", lambda python: None)
    return platform


def test_the_engine_gets_kernels_that_can_be_had(bare: Path, gpu: SimpleNamespace) -> None:
    made = video_language_engine._for_this_gpu
    assert made({"model": "m"}) == {"model": "m", "attention_backend": "FLASH_ATTN"}
    own = {"attention_backend": "TRITON_ATTN"}
    assert made(own) == own
    own = {"attention_config": {"backend": "TRITON_ATTN"}}
    assert made(own) == own
    gpu.get_device_capability = lambda: None
    assert made({}) == {}


def test_only_a_gpu_needs_a_compiler(
    bare: Path, gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_kernels, "check_compiler", check_compiler)
    with pytest.raises(MissingCompilerError):
        video_language_engine._for_this_gpu({})
    gpu.is_cuda = lambda: False
    assert video_language_engine._for_this_gpu({}) == {}
