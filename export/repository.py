"""`python -m export repository FOLDER`: the model repository with real files, for object stores.

In a checkout the models share files by links, which S3, GCS and archives do not keep. The copy has
their contents, so that each model's folder can be taken alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from export.errors import ExportError
from gateway.settings import load_settings

COMMAND = "repository"
ENVIRONMENT = "env"
"""A version folder's link to an environment of this machine, which is no part of the model."""


def write(source: Path, target: Path) -> list[str]:
    """Copy every model, its artefacts included, and return the names of the models.

    Args:
        source: the model repository.
        target: an empty or missing folder, or an earlier copy, which is replaced model by model.

    Raises:
        ExportError: the folder holds something else, or lies within the repository.
    """
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise ExportError(f"{target} lies within the model repository itself")
    for folder in target.iterdir() if target.is_dir() else ():
        if not (folder / "config.pbtxt").is_file():
            raise ExportError(f"{target} holds {folder.name}, which is no model: name another one")
    models = sorted(path.parent for path in source.glob("*/config.pbtxt"))
    for model in models:
        copy = target / model.name
        if copy.exists():
            shutil.rmtree(copy)
        shutil.copytree(model, copy, ignore=_left_out)
    return [model.name for model in models]


def _left_out(folder: str, names: list[str]) -> set[str]:
    left = {"__pycache__", ".gitkeep"}
    if (Path(folder) / ENVIRONMENT).is_symlink():
        left.add(ENVIRONMENT)
    return left & set(names)


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog=f"python -m export {COMMAND}",
        description="Copies the model repository, artefacts included, with real files in the place "
        "of links. Run `python -m export` first.",
    )
    parser.add_argument("folder", type=Path, help="empty, missing, or an earlier copy")
    folder = parser.parse_args(arguments).folder
    try:
        models = write(load_settings().paths.repository, folder)
    except (ExportError, OSError) as error:
        words = str(error) if isinstance(error, ExportError) else error.strerror
        sys.stderr.write(f"export: {words or 'not all files could be copied'}\n")
        return 1
    sys.stderr.write(f"{folder}: {len(models)} models\n")
    return 0
