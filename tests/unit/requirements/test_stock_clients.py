"""requirements/stock_clients.py: npm packages are installed once, with a stand-in for Node."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.requirements.conftest import SCRIPTS


@pytest.fixture
def module(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    loaded = script("stock_clients")
    loaded.PACKAGES = tmp_path / "packages"
    loaded.PACKAGES.mkdir()
    for name in loaded.FILES:
        (loaded.PACKAGES / name).write_text(name)
    return loaded


def test_packages_are_installed_once_and_again_when_they_change(
    module: ModuleType, tmp_path: Path
) -> None:
    calls: list[Path] = []
    module.npm = lambda node, *args, folder: calls.append(folder)
    target = tmp_path / "environment" / "npm"
    for _ in range(2):
        module.install_npm(target, tmp_path)
    assert calls == [target]
    assert (target / "package-lock.json").read_text() == "package-lock.json"
    (module.PACKAGES / "package-lock.json").write_text("newer")
    module.install_npm(target, tmp_path)
    assert len(calls) == 2


def test_a_failed_installation_is_tried_again(module: ModuleType, tmp_path: Path) -> None:
    calls: list[Path] = []

    def failing(node: Path, *args: str, folder: Path) -> None:
        calls.append(folder)
        raise subprocess.CalledProcessError(1, "npm")

    module.npm = failing
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            module.install_npm(tmp_path / "npm", tmp_path)
    assert len(calls) == 2
