"""`python -m gateway plan`: what it takes and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.capacity.machine import described

REPOSITORY = Path(__file__).resolve().parents[4] / "model_repository"
EIGHT = described(8, 96, None)


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(REPOSITORY))


@pytest.mark.usefixtures("_here")
def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--gpus", "8", "--memory-gb", "96", "--container"]) == 0
    told = capsys.readouterr().out
    assert "GPU 0: 96.0 GB" in told
    assert "GPU 1 to 7, each: 96.0 GB" in told  # without networks
    assert "all 1,200 (room for " in told
    assert "lipsync.gpus.count: 8, which must be set" in told
    assert told.endswith("fits\n")
    assert main(["plan", "--gpus", "1", "--memory-gb", "8", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["fits"] is False
    assert [device["name"] for device in told["devices"]] == ["GPU 0", "host"]
    for wrong in (["--gpus", "2"], ["--host-memory-gb", "8"], ["--machine", "m", "--gpus", "2"]):
        assert main(["plan", *wrong]) == 2
        assert "--memory-gb" in (said := capsys.readouterr().err) or "--machine" in said


@pytest.mark.usefixtures("_here")
def test_this_machine_is_planned_as_it_is_configured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.capacity.command.this_machine", lambda: EIGHT)
    assert main(["plan", "--container"]) == 0
    told = capsys.readouterr().out
    assert "7 GPUs without lip-sync: lipsync.gpus.count is 1" in told
    assert "which must be set" not in told


@pytest.mark.usefixtures("_here")
def test_a_missing_repository_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path))
    assert main(["plan"]) == 2
    assert "config.pbtxt" in capsys.readouterr().err
