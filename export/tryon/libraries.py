"""diffusers and what it needs, in a folder of its own for the engine `diffusers`.

Kept out of the environment: transformers imports whatever is installed, and the registry's
torchvision is built for CUDA, so that it cannot be imported beside a CPU build of torch unless its
operators are declared first. The engine does that; nobody else has to.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from export.errors import ExportError
from export.progress import Progress
from gateway.settings import Settings

LOCK = Path(__file__).with_name("libraries.lock")


def wanted(settings: Settings) -> bool:
    """Whether the configured engine needs them."""
    return settings.tryon.model.engine == "diffusers"


def identity() -> str:
    """Changes when the libraries or the Python do."""
    return hashlib.sha256(sys.version.encode() + LOCK.read_bytes()).hexdigest()


def folder(cache: Path) -> Path:
    """Where they are, or will be."""
    return (cache / "packages" / f"tryon-{identity()[:12]}").resolve()


def install(cache: Path, progress: Progress) -> Path:
    """Installs the pinned packages unless they are there, and returns their folder.

    Raises:
        ExportError: pip cannot install them.
    """
    target = folder(cache)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--disable-pip-version-check"]
        command += ["--target", f"{scratch}/site", "--requirement", str(LOCK)]
        with progress.busy("download diffusers"):
            outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            last = outcome.stderr.strip().splitlines()[-1:] or ["no message"]
            raise ExportError(f"pip could not install diffusers: {last[0]}")
        if not target.is_dir():  # another process may have been quicker
            shutil.move(f"{scratch}/site", target)
    return target
