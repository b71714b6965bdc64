"""The command `pentad`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from gateway import cli

MAKEFILE = Path(__file__).resolve().parents[3] / "Makefile"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_under_its_own_name(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: pentad {verb} ")


def test_the_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for verb in (*cli.VERBS, "version"):
        assert re.search(rf"^  {verb} +\S", shown, re.M), verb


def test_an_unknown_verb_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["serv"])
    assert ended.value.code == 2


def test_the_rest_of_the_line_is_the_verbs_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["capacity", "--gpus", "2", "--memory-gb", "96", "--json"]) in (0, 1, 2)
    assert cli.main(["config", "--config", "/nowhere.yaml", "--check"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "export"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["models", "face_detector", "--force"]) == cli.MISSING
    told = capsys.readouterr().err
    assert "pentad[export]" in told
    assert "onnx" in told
