"""Whether every model's configuration is complete, so that Triton need not ask the models.

For a model on the Python backend Triton first starts a process of its own that completes the
configuration, and waits about a second for its end (measured with Triton 2.51: 1.2-1.5 s of each
load), also where nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gateway.model_config import load


def complete(repositories: Iterable[Path]) -> bool:
    """Whether there are models in these repositories and none, in any profile, lacks anything.

    Triton is told once, at its start, for all models that it will ever load.
    """
    files = [
        file
        for repository in repositories
        for folder in _subfolders(repository)
        for file in (folder / "config.pbtxt", *(folder / "configs").glob("*.pbtxt"))
    ]
    return bool(files) and all(map(_complete, files))


def _subfolders(repository: Path) -> list[Path]:
    return [path for path in repository.iterdir() if path.is_dir()] if repository.is_dir() else []


def _complete(file: Path) -> bool:
    try:
        config = load(file, of_any_version=True)
    except (OSError, ValueError):
        return False
    described = (config.backend or config.platform) and config.input and config.output
    return bool(described) and all(
        tensor.name and tensor.data_type and tensor.dims
        for tensor in (*config.input, *config.output)
    )
