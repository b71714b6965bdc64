"""The GPU check's report."""

from __future__ import annotations

import json
from pathlib import Path

from tests.gpu.check import report
from tests.gpu.check.one_part import measure
from tests.gpu.check.section import Section, SkippedError
from tests.gpu.check.timing import milliseconds, per_second

FACTS = {"device": "Toy", "versions": {"torch": "1"}}


def good(section: Section) -> None:
    section.note("engine", "toy")
    section.add("a frame", "ms", 2.0, 8.0)
    section.rate("frames", "1/s", 300.0, 100.0)
    section.add("a load", "ms", 1.0)
    section.headline = "2 ms a frame"


def skips(section: Section) -> None:
    raise SkippedError("needs tensorrt")


def fails(section: Section) -> None:
    section.add("a frame", "ms", 2.0)
    raise ValueError("wrong\nanswers | more")


def outcomes(*parts: object) -> list[Section]:
    sections = []
    for part in parts:
        section = Section(part.__name__)  # type: ignore[attr-defined]
        measure(section, lambda part=part, section=section: part(section))  # type: ignore[misc]
        sections.append(section)
    return sections


def test_outcomes_and_ratios(tmp_path: Path) -> None:
    sections = outcomes(good, skips, fails)
    assert [one.state for one in sections] == ["ok", "skipped", "failed"]
    assert [one.reason for one in sections] == [
        "",
        "needs tensorrt",
        "ValueError: wrong\nanswers | more",
    ]
    data, page = report.write(tmp_path / "new", "check", FACTS, sections)
    told = json.loads(data.read_text())
    assert told["device"] == "Toy"
    assert told["passed"] is False
    assert [one["ratio"] for one in told["sections"][0]["figures"]] == [4.0, 3.0, None]
    text = page.read_text()
    assert "| a frame, ms | 2 | 8 | 4.00 |" in text
    assert "| frames, 1/s | 300 | 100 | 3.00 |" in text
    assert "| a load, ms | 1 |  |  |" in text
    assert "| skips | skipped: needs tensorrt |" in text
    assert "| fails | failed: ValueError: wrong answers \\| more |" in text
    assert "- versions: torch 1" in text


def test_the_verdict_comes_first_and_what_failed_before_the_rest(tmp_path: Path) -> None:
    sections = outcomes(skips, good, fails, skips)
    assert report.verdict(FACTS, sections) == [
        "FAILED on Toy: 1 ok, 1 failed, 2 skipped",
        "fails FAILED: ValueError: wrong answers | more",
        "good: 2 ms a frame",
        "skips, skips skipped: needs tensorrt",
    ]
    (_, page) = report.write(tmp_path, "check", FACTS, sections)
    assert page.read_text().splitlines()[2].startswith("- FAILED on Toy")
    assert json.loads((tmp_path / "check.json").read_text())["verdict"][0].startswith("FAILED")


def test_a_check_of_nothing_has_not_passed() -> None:
    nothing = outcomes(skips)
    assert not report.passed(nothing)
    assert report.verdict(FACTS, nothing)[0].startswith("NOTHING WAS CHECKED")
    assert report.passed(outcomes(good, skips))
    assert not report.passed(outcomes(good, fails))


def test_a_section_is_read_as_it_was_written(tmp_path: Path) -> None:
    (section,) = outcomes(good)
    section.save(tmp_path / "one.json")
    assert Section.read(tmp_path / "one.json") == section


def test_times() -> None:
    calls: list[int] = []
    assert milliseconds(lambda: calls.append(1), times=5) >= 0
    assert len(calls) == 8
    assert per_second(lambda: 10, 0.05, clients=2) > 100
