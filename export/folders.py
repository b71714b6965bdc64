"""Further model folders made from the committed ones, so that a catalogue can hold several."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from export.errors import ExportError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def derived_name(model: str, suffix: str) -> str:
    """Name of the copy of `model` for `suffix`, such as `bertscore_deberta`.

    Raises:
        ExportError: The suffix is no part of a model name.
    """
    if not _NAME.fullmatch(suffix):
        raise ExportError("--as takes letters, digits, - and _ only")
    return f"{model}_{suffix}"


def derive(repository: Path, model: str, names: dict[str, str]) -> None:
    """Copy configuration and code of `model` to the folder `names[model]`.

    Args:
        repository: Model repository.
        model: Committed model.
        names: New name of every model of the pair; quoted names in configurations change.
    """
    source, target = repository / model, repository / names[model]
    for file in source.rglob("*.pbtxt"):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_renamed(file.read_text(), names))
    for version in source.glob("[0-9]*"):
        copy_code(version, target / version.name)
    (target / ".gitignore").write_text("*\n")


def copy_code(version: Path, target: Path) -> None:
    """Copy a model's modules and packages as real files, and nothing else of its version folder.

    Args:
        version: Version folder, such as `model_repository/lipsync/1`.
        target: The new version folder; created when missing.
    """
    for file in code(version):
        copy = target / file.relative_to(version)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def code(version: Path) -> list[Path]:
    """Return a model's Python files, those of packages that are links to another model's included.

    A folder without `__init__.py` is no package but an artefact: a checkpoint may hold code.
    """
    packages = [file.parent for file in version.glob("*/__init__.py")]
    return [file for folder in (version, *packages) for file in sorted(folder.glob("*.py"))]


def set_sizes(repository: Path, model: str, sizes: dict[int, int]) -> None:
    """Replace sizes in every configuration of a derived model.

    Args:
        repository: Model repository.
        model: Derived model.
        sizes: New size by the one in the committed configuration.
    """
    pattern = re.compile(rf"(?<![0-9])({'|'.join(map(str, sizes))})(?![0-9])")
    for file in (repository / model).rglob("*.pbtxt"):
        text = pattern.sub(lambda match: str(sizes[int(match[0])]), file.read_text())
        file.write_text(text)


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    return text
