"""What pytest says about the tests that a part runs."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.gpu.check.golden_tests import _reason, outcome


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
