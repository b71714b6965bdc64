"""Where imports go when neither a tenant's folder nor the user's home can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from tenants.store import state_folder


@pytest.fixture
def fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "no" / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"pentad-lipsync-{os.getuid()}"


def test_it_is_ours_alone(fallback: Path) -> None:
    assert state_folder() == fallback
    assert fallback.stat().st_mode & 0o777 == 0o700
    assert state_folder() == fallback


@pytest.mark.parametrize("kind", ["open", "link", "file", "foreign"])
def test_what_somebody_else_put_there_is_not_used(
    fallback: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        fallback.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        fallback.touch(mode=0o600)
    else:
        fallback.mkdir(mode=0o700)
        if kind == "open":
            fallback.chmod(0o777)
        elif os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        else:
            os.chown(fallback, 12345, 12345)
    assert state_folder() is None
