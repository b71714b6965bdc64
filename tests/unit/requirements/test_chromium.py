"""requirements/chromium.py: which browser it takes, and when it installs one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

APT = """#!/bin/sh
echo "$*" >> "{log}"
case "$*" in *install*) printf '#!/bin/sh\\n' > "{bin}/chromium"; chmod +x "{bin}/chromium" ;; esac
"""


@pytest.fixture
def chromium(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The script on a machine with nothing but /bin, where it runs as root."""
    module = script("chromium")
    # The stand-in for apt-get needs chmod, and nothing named like a browser.
    for tool in ("sh", "chmod"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return module


def executable(path: Path, content: str = "#!/bin/sh\n") -> None:
    path.write_text(content)
    path.chmod(0o755)


def test_takes_what_is_there(
    chromium: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executable(tmp_path / "google-chrome")
    assert chromium.main([]) == 0
    assert capfd.readouterr().out.strip() == str(tmp_path / "google-chrome")


def test_root_installs_debians_package(
    chromium: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    executable(tmp_path / "apt-get", APT.format(log=log, bin=tmp_path))
    assert chromium.main(["--find"]) == 1
    assert not log.exists()
    assert chromium.main([]) == 0
    assert capfd.readouterr().out.strip() == str(tmp_path / "chromium")
    update, install = log.read_text().splitlines()
    assert update.endswith("update")
    assert " chromium " in install


def test_others_are_told_what_to_do(
    chromium: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    executable(tmp_path / "apt-get", "#!/bin/sh\nexit 1\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert chromium.main([]) == 1
    assert "apt-get install chromium" in capfd.readouterr().err


def test_a_failed_installation_is_told(
    chromium: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executable(tmp_path / "apt-get", "#!/bin/sh\nexit 100\n")
    assert chromium.main([]) == 1
    assert "Installing Chromium failed (100)" in capfd.readouterr().err
