"""docs/operations/scale.md says what its formulas say; its inputs are measurements."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capacity import facts, scale
from gateway.capacity.compute import plan
from gateway.capacity.machine import described
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "operations" / "scale.md"


def test_the_page_is_worked_out() -> None:
    page = PAGE.read_text()
    assert scale.filled(page) == page
    assert set(re.findall(r"<!-- scale: (\w+) -->", page)) == set(scale.TABLES)
    assert page.count("|") > 100


def test_the_prose_repeats_the_tables() -> None:
    page = " ".join(PAGE.read_text().split())
    old, compact = scale.WIRES[0], scale.WIRES[-1]
    assert f"{scale.TRAFFIC / 1e9:.2f} GB in the card's memory" in page
    assert f"{facts.TENANT_ON_GPU / scale.TRAFFIC:.0%}".replace("%", " %") + " of that" in page
    assert f"carries {old.frames(10) // 25} faces" in page
    assert old.into / compact.into == 8
    assert "an eighth of it" in page
    assert 10 < compact.gigabits(scale.FRAMES)[0] < 20  # "more than one", "25 Gbit/s"
    assert 100 < compact.gigabits(10 * scale.FRAMES)[0] < 200  # "at least two machines"
    assert 900 < old.gigabits(10 * scale.FRAMES)[0] < 1000  # "ten"
    assert f"({1200 * facts.TENANT_ON_GPU / 1e9:.1f} GB of 96:" in page
    settings = Settings(paths={"repository": ROOT / "model_repository"})
    lipsync_alone = described(1, 96, None).model_copy(update={"onnxruntime_gpu": False})
    card = plan(settings, lipsync_alone, {}).devices[0]
    assert (
        f"two pairs with all tenants each ({card.used / 1e9:.1f} GB of {card.usable / 1e9:.1f})"
        in page
    )
    assert 2 * card.used <= card.usable
    most = max(card.needed(scale.FRAMES) for card in scale.CARDS)
    assert most < scale.FRAMES / compact.gateway_frames / scale.LOAD  # "more pairs than cards"
    assert f"{100 * 384 * 4 / 1e3:.0f} kB in binary" in page


def test_bytes_of_frames_are_those_of_the_lipsync_page() -> None:
    page = (ROOT / "docs" / "services" / "lipsync.md").read_text()
    for wire in scale.WIRES:
        assert f"| {wire.name} | {wire.into:,} | {wire.out:,} | " in page


def test_what_was_measured_is_in_the_results() -> None:
    results = (ROOT / "load_tests" / "RESULTS.md").read_text()
    for wire, seconds in (
        ("float32, 61.4 MB", scale.ADDED_FLOAT32),
        ("uint8, 7.7 MB", scale.ADDED_UINT8),
    ):
        assert f"batch 25, {wire} in: added by the gateway | +{seconds * 1e3:.1f} ms" in results
    page = PAGE.read_text()
    assert f"25 / {scale.ADDED_FLOAT32} s for float32, 25 / {scale.ADDED_UINT8} s for uint8" in page
    assert scale.WIRES[0].gateway_frames == pytest.approx(25 / scale.ADDED_FLOAT32)
    assert scale.WIRES[-1].gateway_frames == pytest.approx(25 / scale.ADDED_UINT8)


def test_both_design_figures_agree() -> None:
    asked = scale.USERS * scale.FRAMES_PER_SECOND * scale.TALKING
    assert asked == pytest.approx(scale.FRAMES, rel=0.01)
    assert scale.users(scale.FRAMES) == pytest.approx(scale.USERS, abs=1)


@given(st.floats(1, 1e6), st.floats(1, 10))
def test_more_frames_need_more_of_everything(frames: float, times: float) -> None:
    for card in scale.CARDS:
        assert card.needed(frames * times) >= card.needed(frames) >= 1
    for wire in scale.WIRES:
        assert wire.gigabits(frames * times) >= wire.gigabits(frames)
    rates = [wire.gateway_frames for wire in scale.WIRES]
    assert rates == sorted(rates)
