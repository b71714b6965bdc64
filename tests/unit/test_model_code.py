"""The tests see a model's code as Triton does: its own, whatever others are called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import model_code
from tests.support.model_code import code_of


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for model in ("first", "second"):
        folder = tmp_path / model / "1" / "same_package"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f"MODEL = {model!r}\n")
        (folder.parent / f"{model}_module.py").write_text("from same_package import MODEL\n")
    monkeypatch.setattr(model_code, "REPOSITORY", tmp_path)
    monkeypatch.setattr(model_code, "_aside", {})
    monkeypatch.setattr(model_code, "_others", {})
    return tmp_path


def test_equal_names_are_told_apart(repository: Path) -> None:
    before = sys.path.copy()
    with code_of("first"):
        import first_module  # type: ignore[import-not-found]
        import same_package  # type: ignore[import-not-found]

        with code_of("second"):
            import second_module  # type: ignore[import-not-found]

            with pytest.raises(ModuleNotFoundError):
                __import__("first_module")
        again = __import__("same_package")
    assert (first_module.MODEL, second_module.MODEL) == ("first", "second")
    assert again is same_package
    assert sys.path == before
    assert not {"first_module", "second_module", "same_package"} & sys.modules.keys()


def test_a_module_is_executed_once(repository: Path) -> None:
    with code_of("first"):
        import same_package
    with code_of("second"):
        other = __import__("same_package")
    with code_of("first"):
        assert __import__("same_package") is same_package
    assert other is not same_package


def test_what_others_put_on_the_path_comes_back(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository / "first" / "1"))
    first = __import__("same_package")
    with code_of("second"):
        assert __import__("same_package").MODEL == "second"
    assert __import__("same_package") is first
    del sys.modules["same_package"]
