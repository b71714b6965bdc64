"""The GPU check's report, and the tests that it names."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.gpu.check import report
from tests.gpu.check.__main__ import PARTS, _part
from tests.gpu.check.correctness import GOLDEN, _reason
from tests.gpu.check.section import Section, SkippedError, measured
from tests.gpu.check.timing import milliseconds, per_second

ROOT = Path(__file__).resolve().parents[3]


def good(section: Section) -> None:
    section.facts["engine"] = "toy"
    section.add("a frame", "ms", 2.0, 8.0)
    section.rate("frames", "1/s", 300.0, 100.0)
    section.add("a load", "ms", 1.0)


def skips(section: Section) -> None:
    raise SkippedError("no driver")


def fails(section: Section) -> None:
    section.add("a frame", "ms", 2.0)
    raise ValueError("wrong\nanswers | more")


def test_outcomes_and_ratios(tmp_path: Path) -> None:
    sections = [measured(part.__name__, part) for part in (good, skips, fails)]
    assert [one.state for one in sections] == ["ok", "skipped", "failed"]
    assert [one.reason for one in sections] == [
        "",
        "no driver",
        "ValueError: wrong\nanswers | more",
    ]
    facts = {"device": "Toy", "versions": {"torch": "1"}}
    data, page = report.write(tmp_path / "new", "check", facts, sections)
    told = json.loads(data.read_text())
    assert told["device"] == "Toy"
    assert [one["ratio"] for one in told["sections"][0]["figures"]] == [4.0, 3.0, None]
    text = page.read_text()
    assert "| a frame, ms | 2 | 8 | 4.00 |" in text
    assert "| frames, 1/s | 300 | 100 | 3.00 |" in text
    assert "| a load, ms | 1 |  |  |" in text
    assert "| skips | skipped: no driver |" in text
    assert "| fails | failed: ValueError: wrong answers \\| more |" in text
    assert "- versions: torch 1" in text


@pytest.mark.parametrize("target", GOLDEN.values())
def test_the_golden_tests_exist(target: str) -> None:
    file, _, name = target.partition("::")
    assert (ROOT / file).exists()
    if name:
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.M)


@pytest.mark.parametrize(
    ("skipped", "why"),
    [
        ('<skipped message="no CUDA device">x.py:1: no CUDA device</skipped>', "no CUDA device"),
        (
            '<skipped message="collection skipped">'
            "('/x.py', 18, \"Skipped: could not import 'tensorrt'\")</skipped>",
            "could not import 'tensorrt'",
        ),
        ('<skipped message="collection skipped">?</skipped>', "collection skipped"),
        ("<skipped/>", "no reason"),
    ],
)
def test_why_tests_were_skipped(skipped: str, why: str) -> None:
    assert _reason(ET.fromstring(skipped)) == why


def test_every_part_can_be_chosen() -> None:
    class Options:
        device, quick = "cpu", True

    assert all(callable(_part(name, Options())) for name in PARTS)  # type: ignore[arg-type]
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    assert all(f"| {name} | " in page for name in PARTS)


def test_times() -> None:
    calls: list[int] = []
    assert milliseconds(lambda: calls.append(1), times=5, warm_up=2) >= 0
    assert len(calls) == 7
    assert per_second(lambda: 10, 0.05, clients=2) > 100
