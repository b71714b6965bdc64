"""Create the project's environment from the hash-checked locks (standard library only).

    python3 requirements/install.py [--device auto|cpu|cuda] .venv runtime [test]

Checks the prerequisites first and says in one sentence what is missing. Files already
installed from the same locks are left alone, so a second call takes milliseconds. `auto` takes
the CUDA builds of torch and ONNX Runtime where an NVIDIA driver is that can run them.
"""

from __future__ import annotations

import argparse
import ctypes.util
import hashlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

from steps import Step, as_command, on_terminal

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "pyproject.toml"  # an image is made of the locks alone
DRIVER = Path("/proc/driver/nvidia/version")
WSL = Path("/dev/dxg")  # Windows' driver, seen from its Linux
OLDEST_DRIVER = 580  # of CUDA 13, which torch.lock and gpu.lock are built with
GPU_PYTHON = (3, 11)  # gpu.lock has nothing for older ones
DEVICES = ("auto", "cpu", "cuda")
SWAPPED = ("onnxruntime", "onnxruntime-gpu", "torch")
"""What is in the way of another device's build of the same: pip takes `2.13.0+cpu` for `2.13.0`."""
GLIBC = (2, 35)  # what nvidia-pytriton's manylinux_2_35 wheel needs


def prerequisites() -> list[str]:
    """Return what this machine lacks, one sentence each."""
    missing = []
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        missing.append(f"Python 3.10, 3.11 or 3.12 is needed, this is {platform.python_version()}.")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        missing.append("Linux on x86_64 is needed: tritonserver is built for nothing else.")
    libc, version = platform.libc_ver()
    if libc == "glibc" and tuple(map(int, version.split(".")[:2])) < GLIBC:
        missing.append(f"glibc {GLIBC[0]}.{GLIBC[1]} or newer is needed, this is {version}.")
    if not _libpython():
        missing.append(
            "A shared libpython is needed (Debian/Ubuntu: apt-get install libpython3-dev; "
            "pyenv: build with PYTHON_CONFIGURE_OPTS=--enable-shared)."
        )
    return missing


def _libpython() -> bool:
    name = f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so"
    folder = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    files = list(folder.glob(name + "*")) or list(folder.glob(f"*/{name}*"))
    return bool(files or ctypes.util.find_library(name[3:-3]))


def _digests(locks: list[Path]) -> set[str]:
    """Return one line per lock: its name and what it and this Python are."""
    lines = set()
    for lock in locks:
        content = sys.version.encode() + lock.read_bytes()
        lines.add(f"{lock.name} {hashlib.sha256(content).hexdigest()}")
    return lines


def gpu_device(tell: Callable[[str], None] = print) -> str:
    """Return "cuda" where an NVIDIA driver is that CUDA 13 can use, else "cpu".

    Args:
        tell: is called with a sentence on a driver that is too old.
    """
    if not DRIVER.exists():
        return "cuda" if WSL.exists() else "cpu"
    version = re.search(r"Module\S*(?: for \S+)?\s+(\d+)\.\d+", DRIVER.read_text(errors="replace"))
    if version and int(version[1]) < OLDEST_DRIVER:
        tell(
            f"The NVIDIA driver is {version[1]}: CUDA needs {OLDEST_DRIVER} or newer, so the CPU "
            "computes."
        )
        return "cpu"
    return "cuda"


def _device_of(stamp: set[str]) -> str:
    """Return what an environment was made for; those without a word about it are the CPU's."""
    return next((line.split()[1] for line in stamp if line.startswith("device ")), "cpu")


class _Environment:
    """What is done to one environment, by its own pip."""

    def __init__(self, target: Path, names: list[str], step: Step) -> None:
        self._python = target / "bin" / "python"
        self._step = step
        self._requirements = [part for name in names for part in ("-r", str(HERE / f"{name}.lock"))]

    def create(self, target: Path) -> None:
        """Make it where it is missing."""
        if not self._python.exists():
            self._step.say("creating the environment")
            if not on_terminal():
                print(f"Creating the environment {target} …", flush=True)
            venv.create(target, with_pip=True)

    def install_packages(self) -> None:
        """Install the named locks."""
        self._pip("packages", *self._requirements)

    def install_binaries(self) -> None:
        """Install tritonserver."""
        self._pip("tritonserver", "-r", str(HERE / "binaries.lock"))

    def install_device(self, device: str) -> None:
        """Install what differs between devices; without CUDA's packages it is the CPU's."""
        if device == "cuda":
            try:
                self._install_gpu()
                return
            except subprocess.CalledProcessError:
                self._step.tell("CUDA's packages could not be installed: the CPU computes.")
                self.remove_other_builds()
                self.install_packages()
        self._install_cpu()

    def install_project(self) -> None:
        """Put the command `pentad` of this checkout on the environment's path."""
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", str(HERE.parent)]
        self._step.run([*self._install, *options], what="the command pentad")

    def remove_other_builds(self) -> None:
        """Make room for another device's builds."""
        self._uninstall(*SWAPPED)

    def _install_cpu(self) -> None:
        """Prefer a CPU build of torch where pip is configured to find one; else the registry's."""
        cpu = ["-r", str(HERE / "torch-cpu.lock")]
        probe = [*self._install[:4], "--no-deps", "--require-hashes", "--dry-run", *cpu]
        if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
            self._pip("torch", *cpu)
        else:
            self._pip_torch()

    def _install_gpu(self) -> None:
        """Take torch with CUDA, and ONNX Runtime with it in the place of the one without."""
        self._pip_torch()
        if sys.version_info >= GPU_PYTHON:
            self._uninstall("onnxruntime")
            gpu = str(HERE / "gpu.lock")
            self._pip("ONNX Runtime with CUDA", "--force-reinstall", "-r", gpu)

    def _pip_torch(self) -> None:
        locks = [part for name in ("torch", "cuda") for part in ("-r", str(HERE / f"{name}.lock"))]
        self._pip("torch with CUDA", *locks)

    @property
    def _install(self) -> list[str]:
        return [str(self._python), "-m", "pip", "install", "--disable-pip-version-check"]

    def _pip(self, what: str, *args: str) -> None:
        command = [*self._install, "--no-deps", "--require-hashes", *args]
        self._step.run(command, what=f"installing {what}")

    def _uninstall(self, *names: str) -> None:
        command = [str(self._python), "-m", "pip", "uninstall", "--yes", "--quiet", *names]
        subprocess.run(command, check=True, capture_output=True)


def install(target: Path, names: list[str], device: str = "auto") -> None:
    """Install the named locks into ``target``; ``runtime`` and ``gpu-check`` bring torch, too.

    Args:
        target: folder of the environment; created where it is missing.
        names: locks, without their ending.
        device: one of ``DEVICES``; concerns ``runtime`` alone.

    Raises:
        subprocess.CalledProcessError: pip failed; its own message is already printed.
    """
    with Step("set-up") as step:
        _install(target, names, device, step)


def _install(target: Path, names: list[str], device: str, step: Step) -> None:
    locks = [HERE / f"{name}.lock" for name in names]
    runs = "runtime" in names
    if runs:
        others = ("binaries", "torch-cpu", "torch", "cuda", "gpu")
        locks += [HERE / f"{name}.lock" for name in others]
    elif "gpu-check" in names:
        locks += [HERE / f"{name}.lock" for name in ("torch-cpu", "torch", "cuda")]
    stamp = target / ".pentad-locks"
    installed = set(stamp.read_text().splitlines()) if stamp.is_file() else set()
    wanted = _digests(locks)
    if runs:
        device = gpu_device(step.tell) if device == "auto" else device
        wanted.add(f"device {device}")
    environment = _Environment(target, names, step)
    command = runs and PROJECT.is_file() and not (target / "bin" / "pentad").exists()
    if not wanted <= installed:
        environment.create(target)
        if runs and _device_of(installed) != device:
            environment.remove_other_builds()
        environment.install_packages()
        if runs:
            environment.install_binaries()
            environment.install_device(device)
        elif "gpu-check" in names:
            environment.install_device("cpu")
    if command:
        environment.install_project()
    names_now = {line.split()[0] for line in wanted}
    kept = {line for line in installed if line.split()[0] not in names_now}
    if kept | wanted != installed:
        stamp.write_text("\n".join(sorted(kept | wanted)) + "\n")
    step.say("up to date" if wanted <= installed else "installed")


def main(argv: list[str]) -> int:
    """Run from the command line: [--device DEVICE] TARGET LOCK…."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("target", type=Path)
    parser.add_argument("locks", nargs="+")
    options = parser.parse_args(argv)
    missing = prerequisites()
    if missing:
        print("Pentad cannot be set up here:", *missing, sep="\n  - ", file=sys.stderr)
        return 2
    try:
        install(Path(os.path.abspath(options.target)), options.locks, options.device)
    except subprocess.CalledProcessError as error:
        code = error.returncode
        print(f"Installing the environment failed (pip ended with {code}).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    as_command(lambda: main(sys.argv[1:]))
