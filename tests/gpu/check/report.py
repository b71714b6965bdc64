"""The report, for programs and for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.gpu.check.section import Figure, Section


def write(folder: Path, name: str, facts: dict[str, Any], sections: list[Section]) -> list[Path]:
    """Write NAME.json and NAME.md; return both."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {**facts, "sections": [section.as_json() for section in sections]}
    data, page = folder / f"{name}.json", folder / f"{name}.md"
    data.write_text(json.dumps(whole, indent=1) + "\n")
    page.write_text(markdown(facts, sections))
    return [data, page]


def markdown(facts: dict[str, Any], sections: list[Section]) -> str:
    """The report as a page."""
    lines = [f"# GPU check: {facts['device']}", ""]
    lines += [f"- {key}: {_plain(value)}" for key, value in facts.items()]
    lines += ["", "| part | outcome | seconds |", "|---|---|--:|"]
    for section in sections:
        reason = " ".join(section.reason.split()).replace("|", "\\|")  # a cell is one line
        outcome = f"{section.state}: {reason}" if reason else section.state
        lines.append(f"| {section.name} | {outcome} | {section.seconds} |")
    for section in sections:
        if section.facts or section.figures:
            lines += ["", f"## {section.name}", ""]
        lines += [f"- {key}: {_plain(value)}" for key, value in section.facts.items()]
        if section.figures:
            lines += ["", "| | device | CPU, same run | times better |", "|---|--:|--:|--:|"]
            lines += [_row(figure) for figure in section.figures]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    cpu = "" if figure.cpu is None else f"{figure.cpu:.4g}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return f"| {figure.name}, {figure.unit} | {figure.device:.4g} | {cpu} | {ratio} |"


def _plain(value: Any) -> str:
    return (
        ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    )
