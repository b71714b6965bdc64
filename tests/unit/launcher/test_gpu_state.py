"""The sentence on the GPU at every start and in `make check`."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.capacity.machine import Gpu, Machine
from gateway.settings import Settings
from launcher import gpu_state
from tests.support.gpu_runtimes import Cudart


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what there is; returns a function that does."""

    def there(cards: int, *, package: bool = True, cudart: Cudart | None = None) -> None:
        found = Machine(gpus=[Gpu(name="NVIDIA L4", memory_gb=24)] * cards, memory_gb=64)
        monkeypatch.setattr(gpu_state, "this_machine", lambda nvml: found)
        monkeypatch.setattr(gpu_state, "has_onnxruntime_gpu", lambda: package)

        def imported(name: str) -> Any:
            if name == "cuda.bindings.runtime":
                if cudart is None:
                    raise ImportError(name)
                return cudart
            return object()

        monkeypatch.setattr(gpu_state, "import_module", imported)

    return there


def test_without_a_gpu(machine: Any) -> None:
    machine(0)
    assert gpu_state.gpu_state() == "no NVIDIA GPU that may be used: ONNX networks run on the CPU"


def test_what_is_missing_is_named(machine: Any) -> None:
    machine(2, package=False)
    assert gpu_state.gpu_state().startswith("NVIDIA L4, but onnxruntime-gpu is not installed")
    machine(1, cudart=None)
    assert "cuda-bindings is missing" in gpu_state.gpu_state()
    machine(1, cudart=Cudart(driver=False))
    said = gpu_state.gpu_state()
    assert "CUDA cannot use it (CUDA driver version is insufficient)" in said
    assert said.endswith("ONNX networks run on the CPU")


def test_with_all_of_it(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(1, cudart=Cudart())
    monkeypatch.setattr(gpu_state, "find_spec", lambda name: None)
    said = gpu_state.gpu_state()
    assert said.startswith("ONNX networks run on NVIDIA L4; TensorRT plans: need the package")
    monkeypatch.setattr(gpu_state, "find_spec", lambda name: object())
    monkeypatch.setattr(gpu_state, "version", lambda name: "10.13.3.9")
    assert gpu_state.gpu_state().endswith("TensorRT plans: TensorRT 10.13.3.9")


def test_it_is_one_of_the_checks() -> None:
    from launcher.checks import all_checks

    checks = dict(all_checks(Settings()))
    assert "ONNX networks run on" in checks["GPU"]()
