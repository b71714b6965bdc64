"""What pytest says about the tests that a part runs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.gpu.check.golden_tests import _reason, check, outcome
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section


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


def test_outcomes_are_counted() -> None:
    cases = """<testsuite>
        <testcase name="a"/><testcase name="b"><system-out/></testcase>
        <testcase name="c"><skipped message="why"/></testcase>
        <testcase name="d"><failure/></testcase>
        <testcase name="e"><error/></testcase>
    </testsuite>"""
    assert outcome(ET.fromstring(cases)) == (2, ["why"], ["d", "e"])


def test_a_test_that_is_not_there_has_not_passed(tmp_path: Path) -> None:
    options = Options("cpu", quick=True, work=tmp_path)
    with pytest.raises(AssertionError, match="no test ran"):
        check(Section("tests.nothing"), options, "tests/gpu/nowhere.py")
