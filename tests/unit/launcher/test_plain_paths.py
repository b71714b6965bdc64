"""Folders with any name, and the folder in which links to them are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from launcher.errors import LauncherError
from launcher.plain_paths import plain, private_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_plain_path_is_itself(tmp_path: Path, temporary: Path) -> None:
    assert plain(tmp_path / "a,b=c+d@e") == tmp_path / "a,b=c+d@e"
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    "name", ["a b", "a'b", 'a"b', "ä", "a;b", "$(a)", "a\\b", "a\nb", "\udcff"]
)
def test_any_other_is_reached_through_a_link(tmp_path: Path, temporary: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    found = plain(folder)
    assert found.resolve() == folder
    assert found.parent == private_folder()
    assert plain(folder) == found
    assert os.listdir(found.parent) == [found.name]


def test_a_wrong_link_is_replaced(tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "a b"
    found = plain(folder)
    found.unlink()
    found.symlink_to("/nowhere")
    assert plain(folder).readlink() == folder


def test_no_plain_place_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t m p"))
    (tmp_path / "t m p").mkdir()
    with pytest.raises(LauncherError, match="TMPDIR"):
        plain(tmp_path / "a b")


@pytest.mark.parametrize("kind", ["open", "link", "file", "foreign"])
def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = temporary / f"pentad-{os.getuid()}"
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o770)
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        folder.touch(mode=0o600)
    else:
        folder.mkdir(mode=0o700)
        if os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(folder, 12345, 12345)
    with pytest.raises(LauncherError, match=r"ours alone|cannot be made"):
        private_folder()
