"""The modules of suites that `make test` leaves out can be imported, as their collection does."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MODULES = sorted(
    ".".join(file.relative_to(TESTS.parent).with_suffix("").parts)
    for suite in ("containers", "netns", "vlm")
    for file in (TESTS / suite).rglob("*.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_imported(module: str) -> None:
    importlib.import_module(module)
