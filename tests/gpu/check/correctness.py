"""Every service against its golden answers, which a CPU has made, and the tests in tests/gpu."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.gpu.check.section import Section
from tests.support.text_models import ROOT

GOLDEN = {
    "embeddings": "tests/triton/text/test_embedding_parity.py::test_golden_values",
    "BERTScore": "tests/triton/text/test_bertscore_parity.py::test_golden_values",
    "classification": "tests/triton/vision/test_golden.py::test_golden_values",
    "face vectors": "tests/triton/iot/faces/test_golden.py",
    "emotion stories": (
        "tests/triton/emotions/test_emotion_story.py::test_the_golden_story_of_the_talking_man"
    ),
    "try-on": "tests/triton/tryon/test_warp_jobs.py::test_pictures_look_as_they_were_judged",
    "on the GPU itself": "tests/gpu",
}
"""Each starts the wheel's tritonserver with the models of this repository."""


def check(section: Section, names: tuple[str, ...] = tuple(GOLDEN)) -> None:
    """Run the tests; note what passed, failed and was skipped, with reasons.

    Raises:
        AssertionError: one failed.
    """
    failed = []
    for name in names:
        passed, skipped, broken = _run(GOLDEN[name])
        words = [f"{passed} passed"] if passed else []
        words += [f"skipped: {reason}" for reason in skipped]
        words += [f"FAILED: {test}" for test in broken]
        section.facts[name] = "; ".join(words) or "FAILED: no test ran"
        if broken or not words:
            failed.append(name)
    if failed:
        raise AssertionError(f"wrong answers: {', '.join(failed)}")


def _run(target: str) -> tuple[int, list[str], list[str]]:
    """Tests that passed, reasons of skipped ones, names of failed ones."""
    with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
        result = Path(folder) / "result.xml"
        command = [sys.executable, "-m", "pytest", "-q", target, f"--junit-xml={result}"]
        subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr)
        cases = list(ET.parse(result).iter("testcase"))
    skipped, broken = set(), []
    for case in cases:
        if (skip := case.find("skipped")) is not None:
            skipped.add(_reason(skip))
        if case.find("failure") is not None or case.find("error") is not None:
            broken.append(case.get("name") or "a test")
    passed = sum(len(list(case)) == 0 for case in cases)
    return passed, sorted(skipped), broken


def _reason(skip: ET.Element) -> str:
    """Why; of a module that was skipped whole only the text says it."""
    message = skip.get("message") or "no reason"
    found = re.search(r"Skipped: (.*?)['\"]?\)?\s*$", skip.text or "", re.S)
    return found[1] if message == "collection skipped" and found else message
