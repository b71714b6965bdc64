"""Writes artefacts all or nothing, and knows which ones are up to date."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export.catalogue import EXPORTER_VERSION

STAMP = "export.json"


def version_folder(repository: Path, model: str) -> Path:
    """Folder of version 1 of a Triton model."""
    return repository / model / "1"


def up_to_date(folder: Path, source: dict[str, Any]) -> bool:
    """Whether `folder` holds what `publish` wrote for `source`, every file at its full size."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        files = stamp["files"]
        whole = all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return whole and stamp.get("made_from") == _identity(source)


@contextmanager
def publish(folder: Path, source: dict[str, Any]) -> Iterator[Path]:
    """Yield a scratch folder; its files move to `folder` when the block ends without an error.

    Nothing half-written is ever visible: the stamp goes first and comes back last.

    Args:
        folder: Version folder of a model.
        source: What the artefacts are made from, as `up_to_date` will ask.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=folder.parent))
    try:
        yield scratch
        (folder / STAMP).unlink(missing_ok=True)
        files = {}
        for file in sorted(scratch.iterdir()):
            files[file.name] = file.stat().st_size
            os.replace(file, folder / file.name)
        stamp = {"made_from": _identity(source), "files": files}
        waiting = scratch / STAMP
        waiting.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n")
        os.replace(waiting, folder / STAMP)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON."""
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _identity(source: dict[str, Any]) -> dict[str, Any]:
    return {"exporter": EXPORTER_VERSION, **source}
