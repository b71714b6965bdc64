"""The code of one model, importable as in Triton: with this model's path alone.

Two models may have modules of one name. So whoever imports a model's code says whose it is, and
what was imported of another one meanwhile waits aside.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"

_aside: dict[str, dict[str, ModuleType]] = {}
"""Modules by model and name; each is executed once in a process, so that its classes are one."""

_others: dict[str, ModuleType] = {}
"""Modules that are no model's, as they were last met under their names."""


@contextmanager
def code_of(model: str) -> Iterator[Path]:
    """Make a model's code importable, and no other's; yields the folder.

    Modules that the block imported work on afterwards, but what they import later they find in a
    block of their model only.
    """
    folder = REPOSITORY / model / "1"
    path = sys.path.copy()
    outside = _taken_out()
    sys.path[:] = [entry for entry in path if not f"{entry}/".startswith(f"{REPOSITORY}/")]
    sys.path.append(str(folder))  # last, as in Triton
    sys.modules.update(_aside.get(model, {}))
    try:
        yield folder
    finally:
        _taken_out()
        sys.path[:] = path
        for name in outside:
            sys.modules.update(
                {key: module for key, module in _aside[name].items() if key in outside[name]}
            )


def _taken_out() -> dict[str, set[str]]:
    """Put every model's modules aside; names by model of those that were there."""
    inside = f"{REPOSITORY}/"
    taken: dict[str, set[str]] = {}
    # Thousands of modules are there, before and after every test: each is looked into once.
    unknown = [pair for pair in list(sys.modules.items()) if _others.get(pair[0]) is not pair[1]]
    for name, module in unknown:
        file = getattr(module, "__file__", None)
        if file and file.startswith(inside):
            model = file[len(inside) :].partition("/")[0]
            _aside.setdefault(model, {})[name] = sys.modules.pop(name)
            taken.setdefault(model, set()).add(name)
        else:
            _others[name] = module
    return taken
