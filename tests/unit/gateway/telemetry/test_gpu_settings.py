"""The section `telemetry.gpu`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.settings import load_settings
from gateway.settings.telemetry import GpuSettings


@given(st.lists(st.integers(1, 65535), max_size=9))
def test_field_numbers_in_every_form(numbers: list[int]) -> None:
    commas = ", ".join(map(str, numbers))
    for form in (numbers, commas, f"[{commas}]", f" [ {commas} ] "):
        assert GpuSettings(dcgm_field_ids=form).dcgm_field_ids == tuple(numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["a,b", "1 2", "0", "65536", "1,,2", "{}"])
def test_what_is_no_list_of_field_numbers_is_refused(form: str) -> None:
    with pytest.raises(ValidationError):
        GpuSettings(dcgm_field_ids=form)  # type: ignore[arg-type]


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENTAD_TELEMETRY__GPU__SOURCE", "stub")
    monkeypatch.setenv("PENTAD_TELEMETRY__GPU__INTERVAL_SECONDS", "0.5")
    monkeypatch.setenv("PENTAD_TELEMETRY__GPU__DCGM_FIELD_IDS", "[157]")
    gpu = load_settings(environ={}).telemetry.gpu
    assert (gpu.source, gpu.interval_seconds, gpu.dcgm_field_ids) == ("stub", 0.5, (157,))
