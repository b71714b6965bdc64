"""Create the environment of the Triton model `vlm` (standard library only).

    python3 requirements/vlm.py .venv-vlm [auto|cpu|cuda]

``auto`` (the default) takes vLLM for CUDA where an NVIDIA driver is that it can use, else vLLM for
CPU. The model finds the environment through the link ``model_repository/vlm/1/env``. Triton's
Python stub and the environment must have the same minor version of Python, so use the Python that
the project runs on. An environment that is up to date is left alone.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from install import DEVICES, gpu_device, install
from steps import as_command

HERE = Path(__file__).resolve().parent
LINK = HERE.parent / "model_repository" / "vlm" / "1" / "env"
HOOK = "torchvision_operators"


def install_packages(target: Path, device: str) -> None:
    """Install vLLM for `device` ("cpu" or "cuda") with what it needs.

    Raises:
        subprocess.CalledProcessError: pip failed; its own message is already printed.
    """
    if device == "cuda":
        install(target, ["vlm-cuda"])
        return
    try:
        install(target, ["vlm-cpu", "torch-cpu"])
    except subprocess.CalledProcessError:
        # No CPU build of torch is offered here: the registry's build, with its CUDA libraries.
        install(target, ["vlm-cpu", "torch", "cuda"])


def install_hook(target: Path) -> None:
    """Make every Python of the environment import ``torchvision_operators``."""
    (packages,) = target.glob("lib/python3*/site-packages")
    shutil.copyfile(HERE / f"{HOOK}.py", packages / f"{HOOK}.py")
    (packages / f"{HOOK}.pth").write_text(f"import {HOOK}; {HOOK}.install()\n")


def link(target: Path, at: Path) -> None:
    """Point the model's link at the environment, relative where both are in one tree."""
    wanted = os.path.relpath(target, at.parent)
    if at.is_symlink() and os.readlink(at) == wanted:
        return
    at.unlink(missing_ok=True)
    at.symlink_to(wanted)


def main(argv: list[str]) -> int:
    """Run from the command line: TARGET [DEVICE]."""
    device = argv[1] if len(argv) > 1 else "auto"
    if device not in DEVICES:
        print(f"Unknown device; there are {', '.join(DEVICES)}.", file=sys.stderr)
        return 2
    if sys.version_info < (3, 11):
        version = platform.python_version()
        print(f"vLLM needs Python 3.11 or 3.12, this is {version}.", file=sys.stderr)
        return 2
    if device == "auto":
        device = gpu_device()
    target = Path(os.path.abspath(argv[0]))
    try:
        install_packages(target, device)
    except subprocess.CalledProcessError as error:
        code = error.returncode
        print(f"Installing the environment failed (pip ended with {code}).", file=sys.stderr)
        return 1
    if device == "cpu":
        install_hook(target)
    link(target, LINK)
    return 0


if __name__ == "__main__":
    as_command(lambda: main(sys.argv[1:]))
