"""The report, for programs and for people: what failed comes first."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gpu.check.section import FAILED, OK, SKIPPED, Figure, Section


def write(folder: Path, name: str, facts: dict[str, Any], sections: list[Section]) -> list[Path]:
    """Write NAME.json and NAME.md; return both."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        **facts,
        "passed": passed(sections),
        "verdict": verdict(facts, sections),
        "sections": [section.as_json() for section in sections],
    }
    data, page = folder / f"{name}.json", folder / f"{name}.md"
    data.write_text(json.dumps(whole, indent=1) + "\n")
    page.write_text(markdown(facts, sections))
    return [data, page]


def passed(sections: list[Section]) -> bool:
    """Whether something was checked, and nothing failed."""
    states = {section.state for section in sections}
    return OK in states and FAILED not in states


def verdict(facts: dict[str, Any], sections: list[Section]) -> list[str]:
    """What to read first: the outcome, then a line for what failed, was measured, was skipped."""
    count = Counter(section.state for section in sections)
    numbers = f"{count[OK]} ok, {count[FAILED]} failed, {count[SKIPPED]} skipped"
    word = "PASSED" if passed(sections) else "FAILED" if count[FAILED] else "NOTHING WAS CHECKED"
    lines = [f"{word} on {facts['device']}: {numbers}"]
    lines += [f"{one.name} FAILED: {_line(one.reason)}" for one in sections if one.state == FAILED]
    lines += [f"{one.name}: {one.headline}" for one in sections if one.state == OK and one.headline]
    reasons: dict[str, list[str]] = {}
    for one in sections:
        if one.state == SKIPPED:
            reasons.setdefault(_line(one.reason), []).append(one.name)
    return lines + [f"{', '.join(names)} skipped: {why}" for why, names in reasons.items()]


def markdown(facts: dict[str, Any], sections: list[Section]) -> str:
    """The report as a page."""
    lines = [f"# GPU check: {facts['device']}", ""]
    lines += [f"- {_cell(line)}" for line in verdict(facts, sections)]
    lines += ["", "## Machine", ""]
    lines += [f"- {key}: {_plain(value)}" for key, value in facts.items()]
    lines += ["", "| part | outcome | seconds |", "|---|---|--:|"]
    for section in sections:
        outcome = f"{section.state}: {section.reason}" if section.reason else section.state
        lines.append(f"| {section.name} | {_cell(outcome)} | {section.seconds} |")
    for section in sections:
        if section.facts or section.figures:
            lines += ["", f"## {section.name}", ""]
        lines += [f"- {key}: {_plain(value)}" for key, value in section.facts.items()]
        if section.figures:
            lines += ["", f"| | device | {section.against} | times better |", "|---|--:|--:|--:|"]
            lines += [_row(figure) for figure in section.figures]
    return "\n".join(lines) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    """One line, without the sign that ends a cell."""
    return _line(text).replace("|", "\\|")


def _row(figure: Figure) -> str:
    other = "" if figure.other is None else f"{figure.other:.4g}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return f"| {figure.name}, {figure.unit} | {figure.device:.4g} | {other} | {ratio} |"


def _plain(value: Any) -> str:
    return (
        ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    )
