"""The start is refused where the configuration does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.capacity.machine import described
from gateway.settings import Settings
from launcher.checks import check_capacity
from launcher.errors import LauncherError

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"


def test_the_start_is_refused_on_a_card_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.capacity.machine.this_machine", lambda: described(1, 8, 64))
    with pytest.raises(LauncherError, match="no room for one lip-sync tenant"):
        check_capacity(Settings(paths={"repository": REPOSITORY}))


def test_what_fits_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.capacity.machine.this_machine", lambda: described(0, 16, None))
    said = check_capacity(Settings(paths={"repository": REPOSITORY}))
    assert said.startswith("models fit, room for ")
    assert said.endswith(" tenants on lipsync")


def test_a_repository_that_is_not_complete_is_no_reason(tmp_path: Path) -> None:
    said = check_capacity(Settings(paths={"repository": tmp_path}))
    assert said.startswith("not worked out: ")
