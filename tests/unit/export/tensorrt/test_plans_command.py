"""`python -m export plans` on a machine without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.__main__ import main
from gateway.triton.tensorrt_plans.key import PLAN
from tests.support.plan_models import install_plan, write_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path / "repository"))
    monkeypatch.setenv("PENTAD_PATHS__PLANS", str(tmp_path / "plans"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("export.tensorrt.machine.import_module", _no_driver)
    return write_model(tmp_path / "repository")


def _no_driver(name: str) -> object:
    import pynvml

    class Absent:
        NVMLError = pynvml.NVMLError

        @staticmethod
        def nvmlInit() -> None:
            raise pynvml.NVMLError_LibraryNotFound

    return Absent


def test_nothing_is_built_and_the_reason_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plans"]) == 1
    assert "need an NVIDIA GPU" in capsys.readouterr().err


def test_plans_of_other_machines_are_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_plan(folder)
    assert main(["plans", "--retire"]) == 0
    assert not (folder / PLAN).exists()
    assert "tiny: plan removed" in capsys.readouterr().err


def test_a_wrong_declaration_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder.parent / "configs" / "tensorrt.pbtxt"
    file.write_text(file.read_text().replace("FP16,FP32", "FP12"))
    assert main(["plans"]) == 1
    assert "FP12" in capsys.readouterr().err
