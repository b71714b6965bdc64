"""Fills a volume with the models of the image, for containers."""

from __future__ import annotations

import shutil
from pathlib import Path

ENVIRONMENTS = Path("/opt/pentad")
"""Where the image has the environments `vlm` and `tryon`."""
LINK = "env"
"""The version folder's link that EXECUTION_ENV_PATH names."""
_ENVIRONMENT = """
parameters [
  {{ key: "EXECUTION_ENV_PATH" value: {{ string_value: "{path}" }} }}
]
"""


def refresh(source: Path, target: Path) -> None:
    """Copy configs and code over those of an earlier image; artefacts stay.

    Args:
        source: Model repository of the image.
        target: The volume. A model's Python files and configurations that the image no longer has
            are removed.
    """
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        there = target / folder.name
        code = there.glob("[0-9]*/*.py")
        # A folder without __init__.py is no package but an artefact: a checkpoint may hold code.
        packages = [file.parent for file in there.glob("[0-9]*/*/__init__.py")]
        modules = [file for package in packages for file in package.glob("*.py")]
        for old in [*code, *modules, *there.glob("configs/*.pbtxt")]:
            if not (source / old.relative_to(target)).exists():
                old.unlink()
        shutil.copytree(
            folder,
            target / folder.name,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__", LINK),
        )


def link_environments(
    repository: Path, engine: str, environments: Path = ENVIRONMENTS
) -> list[str]:
    """Make the models use the environments that the image has.

    Args:
        repository: The volume, refreshed.
        engine: Of the try-on model: `warp` runs in the usual environment.
        environments: Their folder.

    Returns:
        The models that have one.
    """
    linked = []
    if (environments / "vlm").is_dir():
        link = repository / "vlm" / "1" / LINK
        link.unlink(missing_ok=True)
        link.symlink_to(environments / "vlm")
        linked.append("vlm")
    if (environments / "tryon").is_dir() and engine != "warp":
        config = repository / "tryon" / "config.pbtxt"
        text = config.read_text("utf-8")
        config.write_text(text + _ENVIRONMENT.format(path=environments / "tryon"), "utf-8")
        linked.append("tryon")
    return linked
