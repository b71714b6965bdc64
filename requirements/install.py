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
from pathlib import Path

HERE = Path(__file__).resolve().parent
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
    found = list(folder.glob(name + "*")) or list(folder.glob(f"*/{name}*"))
    return bool(found or ctypes.util.find_library(name[3:-3]))


def _digests(locks: list[Path]) -> set[str]:
    """Return one line per lock: its name and what it and this Python are."""
    lines = set()
    for lock in locks:
        content = sys.version.encode() + lock.read_bytes()
        lines.add(f"{lock.name} {hashlib.sha256(content).hexdigest()}")
    return lines


def _pip(python: Path, *args: str) -> None:
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-deps", "--require-hashes", *args], check=True)


def gpu_device() -> str:
    """Return "cuda" where an NVIDIA driver is that CUDA 13 can use, else "cpu"."""
    if not DRIVER.exists():
        return "cuda" if WSL.exists() else "cpu"
    found = re.search(r"Module\S*(?: for \S+)?\s+(\d+)\.\d+", DRIVER.read_text(errors="replace"))
    if found and int(found[1]) < OLDEST_DRIVER:
        print(
            f"The NVIDIA driver is {found[1]}: CUDA needs {OLDEST_DRIVER} or newer, so the CPU "
            "computes.",
            flush=True,
        )
        return "cpu"
    return "cuda"


def _device_of(stamp: set[str]) -> str:
    """Return what an environment was made for; those without a word about it are the CPU's."""
    return next((line.split()[1] for line in stamp if line.startswith("device ")), "cpu")


def _remove_other_builds(python: Path) -> None:
    command = [str(python), "-m", "pip", "uninstall", "--yes", "--quiet", *SWAPPED]
    subprocess.run(command, check=True, capture_output=True)


def _install_cpu(python: Path) -> None:
    """Prefer a CPU build of torch where pip is configured to find one; else the registry's."""
    cpu = ["-r", str(HERE / "torch-cpu.lock")]
    probe = [str(python), "-m", "pip", "install", "--no-deps", "--require-hashes", "--dry-run"]
    probe += cpu
    if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
        _pip(python, *cpu)
    else:
        _pip(python, "-r", str(HERE / "torch.lock"), "-r", str(HERE / "cuda.lock"))


def _install_gpu(python: Path) -> None:
    """Take torch with CUDA, and ONNX Runtime with it in the place of the one without."""
    _pip(python, "-r", str(HERE / "torch.lock"), "-r", str(HERE / "cuda.lock"))
    if sys.version_info >= GPU_PYTHON:
        command = [str(python), "-m", "pip", "uninstall", "--yes", "--quiet", "onnxruntime"]
        subprocess.run(command, check=True, capture_output=True)
        _pip(python, "--force-reinstall", "-r", str(HERE / "gpu.lock"))


def _install_device(python: Path, requirements: list[str], device: str) -> None:
    """Install what differs between devices; without CUDA's packages it is the CPU's."""
    if device == "cuda":
        try:
            _install_gpu(python)
            return
        except subprocess.CalledProcessError:
            print("CUDA's packages could not be installed: the CPU computes.", flush=True)
            _remove_other_builds(python)
            _pip(python, *requirements)
    _install_cpu(python)


def _install_project(python: Path) -> None:
    """Put the command `pentad` of this checkout on the environment's path."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--no-build-isolation", "--editable", str(HERE.parent)]
    subprocess.run(command, check=True)


def install(target: Path, names: list[str], device: str = "auto") -> None:
    """Install the named locks into ``target``; ``runtime`` brings torch and tritonserver too.

    Args:
        target: Folder of the environment; created where it is missing.
        names: Locks, without their ending.
        device: One of ``DEVICES``; concerns ``runtime`` alone.

    Raises:
        subprocess.CalledProcessError: pip failed; its own message is already printed.
    """
    locks = [HERE / f"{name}.lock" for name in names]
    if "runtime" in names:
        others = ("binaries", "torch-cpu", "torch", "cuda", "gpu")
        locks += [HERE / f"{name}.lock" for name in others]
    stamp = target / ".pentad-locks"
    installed = set(stamp.read_text().splitlines()) if stamp.is_file() else set()
    wanted = _digests(locks)
    if "runtime" in names:
        device = gpu_device() if device == "auto" else device
        wanted.add(f"device {device}")
    python = target / "bin" / "python"
    command = "runtime" in names and not (target / "bin" / "pentad").exists()
    if wanted <= installed:
        if command:
            _install_project(python)
        return
    if not python.exists():
        print(f"Creating the environment {target} …", flush=True)
        venv.create(target, with_pip=True)
    requirements = [part for name in names for part in ("-r", str(HERE / f"{name}.lock"))]
    if "runtime" in names and _device_of(installed) != device:
        _remove_other_builds(python)
    _pip(python, *requirements)
    if "runtime" in names:
        _pip(python, "-r", str(HERE / "binaries.lock"))
        _install_device(python, requirements, device)
    if command:
        _install_project(python)
    names_now = {line.split()[0] for line in wanted}
    kept = {line for line in installed if line.split()[0] not in names_now}
    stamp.write_text("\n".join(sorted(kept | wanted)) + "\n")


def main(argv: list[str]) -> int:
    """Run from the command line: [--device DEVICE] TARGET LOCK…."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("target", type=Path)
    parser.add_argument("locks", nargs="+")
    given = parser.parse_args(argv)
    missing = prerequisites()
    if missing:
        print("Pentad cannot be set up here:", *missing, sep="\n  - ", file=sys.stderr)
        return 2
    try:
        install(Path(os.path.abspath(given.target)), given.locks, given.device)
    except subprocess.CalledProcessError as error:
        code = error.returncode
        print(f"Installing the environment failed (pip ended with {code}).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it
