"""Further model folders made from the committed ones, so that a catalogue can hold several."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from export.errors import ExportError
from gateway.model_config import ModelConfig, load, text_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER = re.compile(r"\d+")


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
        names: New name of every model of the pair; their names in configurations change.
    """
    source, target = repository / model, repository / names[model]
    for file in source.rglob("*.pbtxt"):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text_of(_renamed(load(file), names)))
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
    """Replace sizes in every configuration of a derived model: of tensors and of plans' shapes.

    Args:
        repository: Model repository.
        model: Derived model.
        sizes: New size by the one in the committed configuration.
    """
    for file in (repository / model).rglob("*.pbtxt"):
        config = load(file)
        warm_up = [tensor for request in config.model_warmup for tensor in request.inputs.values()]
        for tensor in (*config.input, *config.output, *warm_up):
            tensor.dims[:] = [sizes.get(size, size) for size in tensor.dims]
        for key, parameter in config.parameters.items():
            if key.endswith("_shapes"):
                parameter.string_value = _NUMBER.sub(
                    lambda match: str(sizes.get(int(match[0]), match[0])), parameter.string_value
                )
        file.write_text(text_of(config))


def _renamed(config: ModelConfig, names: dict[str, str]) -> ModelConfig:
    config.name = names.get(config.name, config.name)
    for parameter in config.parameters.values():
        parameter.string_value = names.get(parameter.string_value, parameter.string_value)
    return config
