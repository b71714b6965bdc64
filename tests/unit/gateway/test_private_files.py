"""Other users of the machine: what is written, and what older versions have left open."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway import private_files
from gateway.private_files import IN_JOBS, close_to_others, private_folder, private_way, tighten
from gateway.services.tryon.jobs.context import DATABASE, SECRET
from gateway.services.tryon.jobs.database import open_database
from gateway.services.tryon.jobs.files import FolderFiles
from gateway.settings import Settings
from gateway.settings.triton import PathSettings
from gateway.settings.tryon import TryonSettings
from gateway.settings.tryon_jobs import JobSettings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_folder_is_made_private_and_an_open_one_refused(tmp_path: Path) -> None:
    new, old = tmp_path / "a" / "new", tmp_path / "old"
    private_folder(new)
    private_folder(new)
    assert mode(new) == 0o700
    old.mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="open to other users"):
        private_folder(old)
    assert mode(old) == 0o755, "it may be /run"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(PermissionError, match="another user"):
        private_folder(folder)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="another user"):
        private_folder(tmp_path / "link")


def test_the_folder_around_a_socket_in_tmp_must_be_ours_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_files, "TEMPORARY", tmp_path)
    outer = tmp_path / "pentad-1000"
    private_way(outer / "0123" / "triton:8001")
    assert mode(outer) == mode(outer / "0123") == 0o700
    other = tmp_path / "pentad-1001"
    other.symlink_to(outer)
    with pytest.raises(PermissionError):
        private_way(other / "0123" / "triton:8001")


def test_what_an_older_version_left_open_is_closed(tmp_path: Path) -> None:
    state, jobs, elsewhere = (tmp_path / name for name in ("state", "jobs", "elsewhere"))
    private = [
        state / "tryon" / "files" / "job" / "person",
        state / "tryon" / "jobs.sqlite-wal",
        state / "gateway.lock",
        jobs / "files" / "job" / "garment",
        jobs / "jobs.sqlite",
    ]
    others = [state / "cache" / "weights", jobs / "of-the-operator", elsewhere / "target"]
    for file in (*private, *others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a picture")
        file.chmod(0o664)
    program = state / "triton" / "stub"
    program.parent.mkdir()
    program.touch(0o755)
    (state / "tryon" / "link").symlink_to(elsewhere / "target")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state / "triton" / "s"))
    kept = JobSettings(folder=jobs)
    close_to_others(Settings(paths=PathSettings(state=state), tryon=TryonSettings(jobs=kept)))
    assert [mode(file) for file in private] == [0o600] * len(private)
    assert mode(program) == 0o700
    folders = [state / "tryon", state / "tryon" / "files" / "job", state / "triton", jobs / "files"]
    assert [mode(folder) for folder in folders] == [0o700] * len(folders)
    assert mode(state / "triton" / "s") & 0o077 == 0
    assert [mode(file) for file in others] == [0o664] * 3, "neither others' nor behind a link"


def test_folders_that_are_not_there_are_no_error(tmp_path: Path) -> None:
    tighten(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_jobs_are_private_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        engine = open_database(f"sqlite:///{tmp_path / DATABASE}")
        FolderFiles(tmp_path / "files")
        with engine.connect():
            written = {path.name: mode(path) & 0o077 for path in tmp_path.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert set(written.values()) == {0}
    assert {DATABASE, "files"} <= written.keys()
    assert {*written, SECRET} <= set(IN_JOBS), "older versions' are closed"
