"""Exported models: what cannot be had is skipped, what breaks is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.gpu.check import models
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section, SkippedError

OPTIONS = Options("cpu", quick=True, work=Path("/nowhere"))


def export_says(monkeypatch: pytest.MonkeyPatch, service: str, status: int, text: str) -> Section:
    """`python -m export` is up to date for all services but one."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        broken = command[-1] == service
        told = text if broken else "sentence_encoder: up to date\n"
        return subprocess.CompletedProcess(command, status if broken else 0, stderr=told)

    monkeypatch.setattr(models.subprocess, "run", run)
    return Section("services.models")


def test_all_models_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    section = export_says(monkeypatch, "none", 0, "")
    models.check(section, OPTIONS)
    assert section.headline
    assert section.facts == dict.fromkeys(models.SERVICES, "sentence_encoder: up to date")


def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "export: pip could not download weights==1: no such package"
    section = export_says(monkeypatch, "vision", 1, f"a warning\n{words}\n")
    with pytest.raises(SkippedError, match="no models of vision here"):
        models.check(section, OPTIONS)
    assert section.facts["vision"] == words
    assert "text" in section.facts


def test_an_export_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    section = export_says(monkeypatch, "iot", 1, "Traceback …\nKeyError: 'x'\n")
    with pytest.raises(AssertionError, match="iot: KeyError"):
        models.check(section, OPTIONS)


def test_the_services_are_those_that_are_exported() -> None:
    from gateway.services.registry import SERVICES

    # A service that is off by default runs a checkpoint of the operator's own: nothing to export.
    assert set(models.SERVICES) == {name for name, entry in SERVICES.items() if entry.default}
