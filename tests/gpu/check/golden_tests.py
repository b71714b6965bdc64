"""A test of the project's, run by pytest in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

from tests.gpu.check.options import ROOT, Options
from tests.gpu.check.section import Section, SkippedError

ON_GPU = "tests/gpu"
"""Tests that must start where pytest's plugins and the gateway's packages are missing."""
PLAIN = ("-c", f"{ON_GPU}/pytest.ini")
"""Settings for them: with the project's own, pytest demands its plugins."""


def check(section: Section, options: Options, target: str) -> None:
    """Run a test; note how many passed.

    Raises:
        SkippedError: all of it was skipped.
        AssertionError: one failed, or there was none.
    """
    result = options.work / f"{section.name}.xml"
    command = [sys.executable, "-m", "pytest", "-q", target, f"--junit-xml={result}"]
    if target.startswith(ON_GPU):
        command += PLAIN
    subprocess.run(command, cwd=ROOT, check=False)
    assert result.is_file(), "pytest did not start"
    passed, skipped, broken = outcome(ET.parse(result).getroot())
    section.note("passed", passed)
    if skipped:
        section.note("skipped", "; ".join(skipped))
    assert not broken, f"FAILED: {', '.join(broken)}"
    if not passed and skipped:
        raise SkippedError("; ".join(skipped))
    assert passed, "no test ran"
    section.headline = f"{passed} golden test{'s' * (passed > 1)} passed"


def outcome(result: ET.Element) -> tuple[int, list[str], list[str]]:
    """Tests that passed, reasons of skipped ones, names of failed ones, of a JUnit file."""
    passed, skipped, broken = 0, set(), []
    for case in result.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            broken.append(case.get("name") or "a test")
        elif (skip := case.find("skipped")) is not None:
            skipped.add(_reason(skip))
        else:
            passed += 1
    return passed, sorted(skipped), broken


def _reason(skip: ET.Element) -> str:
    """Why; of a module that was skipped whole only the text says it."""
    message = skip.get("message") or "no reason"
    found = re.search(r"Skipped: (.*?)['\"]?\)?\s*$", skip.text or "", re.S)
    return found[1] if message == "collection skipped" and found else message
