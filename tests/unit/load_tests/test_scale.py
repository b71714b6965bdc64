"""docs/operations/scale.md says what its formulas say; its inputs are measurements."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capacity import facts
from gateway.capacity.compute import size_up
from gateway.capacity.machine import described
from gateway.settings import Settings
from load_tests.lipsync import scale

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "operations" / "scale.md"
NOTE = ROOT / "docs" / "development" / "tenants-in-one-step.md"


def test_the_pages_are_worked_out() -> None:
    names: list[str] = []
    for file in (PAGE, NOTE):
        page = file.read_text()
        assert scale.filled(page) == page
        names += re.findall(r"<!-- scale: (\w+) -->", page)
    assert sorted(names) == sorted(scale.TABLES)
    assert PAGE.read_text().count("|") > 100


def test_the_prose_repeats_the_tables() -> None:
    page = " ".join(PAGE.read_text().split())
    old, compact = scale.WIRES[0], scale.WIRES[-1]
    share = facts.TENANT_ON_GPU / scale.ENGINES[0].bytes_per_frame(1)
    assert f"Weights are {share:.0%}".replace("%", " %") + " of it in steps of one" in page
    assert f"kernels x {scale.LAUNCH * 1e6:.0f} microseconds" in page
    assert f"{1 - share:.0%}".replace("%", " %") + " of them" in " ".join(NOTE.read_text().split())
    assert f"carries {old.frames(10) // 25} faces" in page
    assert old.into / compact.into == 8
    assert "an eighth of it" in page
    assert 10 < compact.gigabits(scale.FRAMES)[0] < 20  # "more than one", "25 Gbit/s"
    assert 100 < compact.gigabits(10 * scale.FRAMES)[0] < 200  # "at least two machines"
    assert 900 < old.gigabits(10 * scale.FRAMES)[0] < 1000  # "ten"
    assert f"({1200 * facts.TENANT_ON_GPU / 1e9:.1f} GB of 96:" in page
    settings = Settings(paths={"repository": ROOT / "model_repository"})
    lipsync_alone = described(1, 96, None).model_copy(update={"onnxruntime_gpu": False})
    card = size_up(settings, lipsync_alone, {}).devices[0]
    assert (
        f"two pairs with all tenants each ({card.used / 1e9:.1f} GB of {card.usable / 1e9:.1f})"
        in page
    )
    assert 2 * card.used <= card.usable
    rtx, h200 = (1e3 / card.milliseconds(scale.ENGINES[0]) for card in scale.CARDS[::2])
    handed = 1e3 / compact.cpu()[0]
    assert rtx < handed  # "more than an RTX PRO 6000 computes"
    assert 0.4 < handed / h200 < 0.6  # "half of what an H200 does"
    singly = 1e3 / scale.CPU[compact.short, 1][0]
    assert max(1e3 / old.cpu()[0], singly) < 0.6 * rtx  # "several pairs a card"
    assert f"{100 * 384 * 4 / 1e3:.0f} kB in binary" in page


def test_bytes_of_frames_are_those_of_the_lipsync_page() -> None:
    page = (ROOT / "docs" / "services" / "lipsync.md").read_text()
    for wire in scale.WIRES:
        assert f"| {wire.name} | {wire.into:,} | {wire.out:,} | " in page


def test_what_was_measured_is_in_the_results() -> None:
    results = (ROOT / "load_tests" / "RESULTS.md").read_text()
    for (name, batch), (gateway, triton) in scale.CPU.items():
        (row,) = re.findall(rf"^\| lip-sync, {name}, batch {batch} \|.*$", results, re.M)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[3:6] == ["frame", f"{gateway:.2f}", f"{triton:.2f}"]
    for wire in (scale.WIRES[0], scale.WIRES[-1]):
        assert wire.cpu() == pytest.approx(scale.CPU[wire.short, 25])


def test_a_step_takes_as_long_as_its_bytes_or_its_kernels() -> None:
    engine = scale.Engine("of a test", 1e9 - facts.TENANT_ON_GPU, 100)
    slow, fast = scale.Card("slow", 1e12, 1.0), scale.Card("fast", 100e12, 1.0)
    assert slow.milliseconds(engine, 1) == pytest.approx(1.0)  # a gigabyte
    assert fast.milliseconds(engine, 1) == pytest.approx(100 * scale.LAUNCH * 1e3)
    assert fast.milliseconds(engine, 25) < fast.milliseconds(engine, 1)
    rates = [
        scale.rate(fast, engine, slots=slots, tenants=tenants)
        for slots, tenants in ((1, 1), (4, 1), (1, 4), (4, 16))
    ]
    assert rates[1] == rates[2] > rates[0]
    assert rates[3] == pytest.approx(1e5)  # its bandwidth, whatever is shared


def test_both_design_figures_agree() -> None:
    asked = scale.USERS * scale.FRAMES_PER_SECOND * scale.TALKING
    assert asked == pytest.approx(scale.FRAMES, rel=0.01)
    assert scale.users(scale.FRAMES) == pytest.approx(scale.USERS, abs=1)


@given(st.floats(1, 1e6), st.floats(1, 10))
def test_more_frames_need_more_of_everything(frames: float, times: float) -> None:
    for card in scale.CARDS:
        for engine in scale.ENGINES:
            assert card.needed(frames * times, engine) >= card.needed(frames, engine) >= 1
    for wire in scale.WIRES:
        assert wire.gigabits(frames * times) >= wire.gigabits(frames)
    costs = [wire.cpu() for wire in scale.WIRES]
    assert costs == sorted(costs, reverse=True)
