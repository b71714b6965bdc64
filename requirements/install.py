"""Create the project's environment from the hash-checked locks (standard library only).

    python3 requirements/install.py .venv runtime [test]

Checks the prerequisites first and says in one sentence what is missing. Files already
installed from the same locks are left alone, so a second call takes milliseconds.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import platform
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
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


def _install_torch(python: Path) -> None:
    """Prefer a CPU build where pip is configured to find one; else the registry's with CUDA."""
    cpu = ["-r", str(HERE / "torch-cpu.lock")]
    probe = [str(python), "-m", "pip", "install", "--no-deps", "--require-hashes", "--dry-run"]
    probe += cpu
    if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
        _pip(python, *cpu)
    else:
        _pip(python, "-r", str(HERE / "torch.lock"), "-r", str(HERE / "cuda.lock"))


def _install_project(python: Path) -> None:
    """Put the command `pentad` of this checkout on the environment's path."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--no-build-isolation", "--editable", str(HERE.parent)]
    subprocess.run(command, check=True)


def install(target: Path, names: list[str]) -> None:
    """Install the named locks into ``target``; ``runtime`` brings torch and tritonserver too.

    Raises:
        subprocess.CalledProcessError: pip failed; its own message is already printed.
    """
    locks = [HERE / f"{name}.lock" for name in names]
    if "runtime" in names:
        locks += [HERE / f"{name}.lock" for name in ("binaries", "torch-cpu", "torch", "cuda")]
    stamp = target / ".pentad-locks"
    installed = set(stamp.read_text().splitlines()) if stamp.is_file() else set()
    wanted = _digests(locks)
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
    _pip(python, *requirements)
    if "runtime" in names:
        _pip(python, "-r", str(HERE / "binaries.lock"))
        _install_torch(python)
    if command:
        _install_project(python)
    names_now = {line.split()[0] for line in wanted}
    kept = {line for line in installed if line.split()[0] not in names_now}
    stamp.write_text("\n".join(sorted(kept | wanted)) + "\n")


def main(argv: list[str]) -> int:
    """Run from the command line: TARGET LOCK…."""
    missing = prerequisites()
    if missing:
        print("Pentad cannot be set up here:", *missing, sep="\n  - ", file=sys.stderr)
        return 2
    try:
        install(Path(os.path.abspath(argv[0])), argv[1:])
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
