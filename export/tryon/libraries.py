"""diffusers and what it needs, in a folder of its own for the engine `diffusers`.

Kept out of the environment: transformers imports whatever is installed, and the registry's
torchvision is built for CUDA, so that it cannot be imported beside a CPU build of torch unless its
operators are declared first. The engine does that; nobody else has to.
"""

from __future__ import annotations

from pathlib import Path

from export import packages
from export.progress import Progress
from gateway.settings import Settings

LOCK = Path(__file__).with_name("libraries.lock")


def wanted(settings: Settings) -> bool:
    """Whether the configured engine needs them."""
    return settings.tryon.model.engine == "diffusers"


def identity() -> str:
    """Return what changes when the libraries or the Python do."""
    return packages.identity(LOCK)


def folder(cache: Path) -> Path:
    """Where they are, or will be."""
    return packages.folder(cache, "tryon", LOCK)


def install(cache: Path, progress: Progress) -> Path:
    """Installs the pinned packages unless they are there, and returns their folder.

    Raises:
        ExportError: pip cannot install them.
    """
    return packages.install(folder(cache), LOCK, "diffusers", progress)
