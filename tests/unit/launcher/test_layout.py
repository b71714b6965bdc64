from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from launcher import layout
from launcher.errors import LauncherError


def test_backend_folder_holds_copies_and_follows_changes(tmp_path: Path) -> None:
    wheel = layout.find_wheel()
    folder = layout.assemble_backends(wheel, tmp_path / "backends")
    assert os.access(folder / "python" / "triton_python_backend_stub", os.X_OK)
    for name in layout.PYTHON_BASED:
        assert (folder / name / "model.py").is_file()
        assert (folder / name / layout.SHARED / "triton_model.py").is_file()
    assert not [path for path in folder.rglob("*") if path.is_symlink()]

    model = folder / "onnxruntime" / "model.py"
    before = model.stat().st_ino
    layout.assemble_backends(wheel, folder)
    assert model.stat().st_ino == before
    model.write_text("changed by somebody")
    layout.assemble_backends(wheel, folder)
    assert model.read_text() == (layout.BACKENDS / "onnxruntime" / "model.py").read_text()


def test_environment_lets_the_stub_find_libraries_and_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    env = layout.environment(layout.find_wheel())
    libraries = env["LD_LIBRARY_PATH"].split(":")
    assert libraries[0].endswith("nvidia_pytriton.libs")
    assert libraries[-1] == "/elsewhere"
    assert env["PATH"].split(":")[0] == sysconfig.get_path("scripts")
    assert "PYTHONHOME" not in env


def test_missing_wheel_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LauncherError, match="nvidia-pytriton is missing"):
        layout.find_wheel()


def test_python_without_shared_library_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(layout.sys, "base_prefix", str(tmp_path))
    monkeypatch.setattr(layout.sysconfig, "get_config_var", lambda name: str(tmp_path))
    with pytest.raises(LauncherError, match="--enable-shared"):
        layout.libpython_folder()
