"""The packages that the product is made of are extras of the project, pinned to what is tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = (ROOT / "pyproject.toml").read_text()


def extra(name: str) -> str:
    found = re.search(rf"^{name} = \[.*?^\]", PROJECT, re.M | re.S)
    assert found, name
    return found[0]


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("gpu", "onnxruntime-gpu"),
        ("gpu", "cuda-bindings"),
        ("tensorrt", "tensorrt-cu13"),
        ("vlm", "vllm"),
        ("faces", "insightface"),
    ],
)
def test_every_one_has_its_reason(name: str, package: str) -> None:
    lines = extra(name).splitlines()
    (place,) = [place for place, line in enumerate(lines) if f'"{package}' in line]
    before = [line for line in lines[:place] if line.strip().startswith("#")]
    assert "#" in lines[place].split('"')[-1] or before, f"{package} has no reason"


def test_plans_are_built_by_the_tensorrt_of_nvidias_triton() -> None:
    versions = (ROOT / "docker" / "versions.env").read_text()
    wanted = re.search(r"^TENSORRT_VERSION=(\S+)", versions, re.M)
    assert wanted
    assert f'"tensorrt-cu13=={wanted[1]}"' in extra("tensorrt")
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    assert f"pip install tensorrt-cu13=={wanted[1]}" in page


def test_vllm_is_the_locked_one() -> None:
    lock = (ROOT / "requirements" / "vlm-cuda.lock").read_text()
    pinned = re.search(r"^vllm==([\d.]+)", lock, re.M)
    assert pinned
    assert f'"vllm=={pinned[1]};' in extra("vlm")


def test_both_onnxruntimes_are_declared_to_conflict() -> None:
    conflicts = re.search(r"^conflicts = \[.*?^\]", PROJECT, re.M | re.S)
    assert conflicts
    for name in ("triton", "export", "faces"):
        assert f'[{{ extra = "gpu" }}, {{ extra = "{name}" }}]' in conflicts[0]


def test_what_cuda_needs_comes_with_torchs_build() -> None:
    """onnxruntime-gpu finds CUDA in these packages; torch.lock and cuda.lock go with gpu.lock."""
    cuda = (ROOT / "requirements" / "cuda.lock").read_text()
    wanted = ("cuda-bindings", "nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13",
              "nvidia-cufft", "nvidia-curand", "nvidia-cuda-nvrtc", "nvidia-nvjitlink")  # fmt: skip
    for name in wanted:
        assert re.search(rf"^{name}==(13|12|10|9|1)\.", cuda, re.M), name
