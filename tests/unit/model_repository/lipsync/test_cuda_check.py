"""A card that cannot compute is found out by a kernel, and the CPU takes over with the reason."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engines import cuda_check
from engines import devices as lipsync_device
from engines.cuda_check import NO_DRIVER, cuda_problem
from lipsync_settings import Settings, read_settings

PARAMETERS = {
    "device": "auto", "workers": "0", "queue_size": "4", "frame_limit": "4", "loads": "1",
    "blob_folder": "", "device_memory_gb": "0", "host_memory_gb": "4", "mask": "5,5,310,305",
}  # fmt: skip
OLD_DRIVER = RuntimeError(
    "The NVIDIA driver on your system is too old (found version 12040). Please update\nand more"
)


def settings(tmp_path: Path, device: str = "auto") -> Settings:
    return read_settings({**PARAMETERS, "device": device}, tmp_path)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's files are there, and torch was built for CUDA."""
    monkeypatch.setattr(cuda_check, "DRIVER_FILES", (str(tmp_path),))
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def card(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None, count: int = 1) -> None:
    """CUDA counts cards; `error` is what the first kernel raises."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    real = torch.ones

    def ones(*shape: Any, device: Any, **named: Any) -> Any:
        assert device.type == "cuda"
        if error:
            raise error
        return real(*shape, **named)

    monkeypatch.setattr(torch, "ones", ones)


BROKEN = {
    "another process holds it": "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
    "it needs a reset": "CUDA error: device kernel image is invalid",
    "torch has no kernels for it": "CUDA error: no kernel image is available for execution",
    "cuDNN is missing": "Unable to load any of {libcudnn_graph.so.9.1.0}",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_card_that_is_counted_but_does_not_compute(
    what: str, driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, torch.AcceleratorError(f"{BROKEN[what]}\nCompile with TORCH_USE_CUDA_DSA"))
    assert cuda_problem(0) == BROKEN[what]


@pytest.mark.usefixtures("driver")
class TestTheReason:
    def test_a_driver_that_is_too_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def init() -> None:
            raise OLD_DRIVER

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "init", init)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # as NVML counts
        assert cuda_problem(0) == str(OLD_DRIVER).partition("\n")[0]

    def test_a_card_beyond_those_that_are_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        card(monkeypatch, count=2)
        assert cuda_problem(2) == "torch sees 2 GPUs, asked for is number 2"

    def test_a_card_that_computes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        card(monkeypatch)
        assert cuda_problem(0) == ""

    def test_a_card_that_computes_wrongly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        card(monkeypatch)
        monkeypatch.setattr(torch.nn.functional, "conv2d", lambda x, weight: x[..., :1, :1] * 0)
        assert "a convolution of ones gave 0" in cuda_problem(0)

    def test_a_build_without_cuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.version, "cuda", None)
        assert "is built without CUDA" in cuda_problem(0)

    def test_no_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        assert cuda_problem(0).startswith("torch cannot be used (")


def test_without_a_driver_torch_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_check, "DRIVER_FILES", ("/does/not/exist",))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cuda_problem(0) == NO_DRIVER


def test_wsl_counts_as_a_driver() -> None:
    assert "/dev/dxg" in cuda_check.DRIVER_FILES


def test_the_cpu_takes_over_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lipsync_device, "cuda_problem", lambda index: f"card {index} is broken")
    (engine,) = lipsync_device.make_engines(settings(tmp_path, "auto:3"))
    assert engine.device()["kind"] == "cpu"
    assert "cpu fp32 (cuda:3 is not used: card 3 is broken)" in engine.name
    with pytest.raises(RuntimeError, match="device is cuda:3, but card 3 is broken"):
        lipsync_device.make_engines(settings(tmp_path, "cuda:3"))


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_machine_without_a_card_needs_no_explanation(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lipsync_device, "cuda_problem", lambda index: NO_DRIVER)
    (engine,) = lipsync_device.make_engines(settings(tmp_path, device))
    assert engine.name.endswith("cpu fp32")


def test_a_card_whose_memory_is_taken_leaves_it_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 MiB")

    monkeypatch.setattr(lipsync_device, "cuda_problem", lambda index: "")
    monkeypatch.setitem(sys.modules, "engines.gpu", SimpleNamespace(GpuEngine=full))
    (engine,) = lipsync_device.make_engines(settings(tmp_path))
    assert "CUDA out of memory. Tried to allocate 64.00 MiB" in engine.name
