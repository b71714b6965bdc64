"""The page for a newcomer leads to what it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.containers import ROOT

PAGE = ROOT / "docs" / "development" / "where-to-change.md"
ROWS = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| `([^`]+)` \|$", PAGE.read_text("utf-8"), re.M)
QUESTIONS = ("evicted", "callback is tried again", "413", "crop of a face", "port of text")


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Yield the names that a module or a class defines, those of a class as `Class.name`."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (prefix + name.id for name in names if isinstance(name, ast.Name))


@pytest.mark.parametrize(("change", "file", "name"), ROWS, ids=[row[0] for row in ROWS])
def test_the_file_defines_what_is_to_be_looked_for(change: str, file: str, name: str) -> None:
    source = (ROOT / file).read_text("utf-8")
    assert name in set(definitions(ast.parse(source).body)), f"{change}: {file} has no {name}"


def test_every_row_is_read_and_the_first_questions_are_answered() -> None:
    table = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(table) - 1, "a row that is no change, file and name"
    for question in QUESTIONS:
        assert any(question in change for change, _, _ in ROWS), question


def test_what_is_only_imported_is_no_definition() -> None:
    source = "from a import b\nC: int = 1\nclass D:\n    e, f = 1, 2\n    def g(self): b()\n"
    assert set(definitions(ast.parse(source).body)) == {"C", "D", "D.e", "D.f", "D.g"}
