"""The parts that are listed: what they name exists, what they lack is said."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.gpu.check import one_part
from tests.gpu.check.__main__ import main
from tests.gpu.check.golden_tests import outcome
from tests.gpu.check.one_part import measure, missing, run
from tests.gpu.check.options import REPOSITORY, ROOT, Options
from tests.gpu.check.parts import GROUPS, PARTS, Part, chosen
from tests.gpu.check.section import Section

OPTIONS = Options("cpu", quick=True, work=Path("/nowhere"))


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_what_a_part_names_exists(part: Part) -> None:
    module, _, function = part.call.partition(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert all((REPOSITORY / model / "config.pbtxt").is_file() for model in part.models)
    if part.argument:
        file, _, test = part.argument.partition("::")
        assert (ROOT / file).exists()
        assert not test or f"\ndef {test}(" in (ROOT / file).read_text()
    assert f"| {part.name} | " in (ROOT / "docs" / "operations" / "gpu.md").read_text()


def test_parts_are_chosen_by_group_and_by_name() -> None:
    assert chosen([]) == list(PARTS)
    assert len({part.name for part in PARTS}) == len(PARTS)
    names = [part.name for part in chosen(["services.text", "lipsync"])]
    assert names[-1] == "services.text"
    assert names[:-1] == [part.name for part in PARTS if part.group == "lipsync"]
    assert GROUPS[0] == "lipsync", "the first quarter of an hour belongs to our own GPU code"
    with pytest.raises(ValueError, match="no such part: lips"):
        chosen(["lips"])


def outcome_of(part: Part) -> Section:
    section = Section(part.name)
    measure(section, lambda: run(part, section, OPTIONS))
    return section


def test_what_is_missing_is_named() -> None:
    part = Part("a.b", "", "os:nothing", packages=("json", "nowhere_to_be_found", "no.such.module"))
    assert missing(part) == ["nowhere_to_be_found", "no.such.module"]
    assert outcome_of(part).state == "skipped"
    assert outcome_of(part).reason == "needs nowhere_to_be_found, no.such.module"
    many = Part("a.c", "", "os:nothing", packages=tuple(f"missing_{n}" for n in range(8)))
    assert outcome_of(many).reason.endswith("missing_4 and 3 more")


def test_models_that_were_not_exported_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_part, "REPOSITORY", tmp_path)
    part = Part("a.b", "", "os:nothing", models=("token_encoder",))
    assert missing(part) == ["the exported model token_encoder (make models)"]
    (tmp_path / "token_encoder" / "1").mkdir(parents=True)
    (tmp_path / "token_encoder" / "1" / "model.onnx").touch()
    assert missing(part) == []


def test_a_package_that_a_part_does_not_name_is_no_reason_to_skip() -> None:
    assert outcome_of(Part("a.b", "", "tests.gpu.check.no_such:check")).state == "failed"


def test_a_device_is_the_one_that_nvml_and_triton_mean(tmp_path: Path) -> None:
    """Cards are counted by bus, whatever the shell says, and no library reports home."""
    code = (
        "import os; from tests.gpu.check.one_part import main; "
        f"main(['tests.plans', {str(tmp_path / 'one.json')!r}, "
        f'\'{{"device": "cpu", "quick": true, "work": "/nowhere"}}\']); '
        "print(os.environ['CUDA_DEVICE_ORDER'], os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    variables = {**os.environ, "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=variables, check=True, capture_output=True
    )
    assert ended.stdout.decode().splitlines()[-1] == "PCI_BUS_ID 1"


def test_the_check_itself_needs_python_alone() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tests.gpu.check.__main__"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_make_takes_the_machines_python_where_there_is_no_environment() -> None:
    """And wants nothing made first: neither environment nor models."""
    given = ["VENV=/nowhere", f"PYTHON={sys.executable}", "GPU_CHECK_ARGS=--help"]
    ended = subprocess.run(
        ["make", "gpu-check", *given], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert all(part.name in ended.stdout for part in PARTS)


def test_a_device_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert main(["lipsync.golden", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gpu-check: torch cannot use cuda:0 (")
    assert "--device cpu" in told
    assert main(["lips"]) == 2
    assert "no such part" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_tests_on_a_gpu_start_without_plugins(tmp_path: Path) -> None:
    """As on a machine that has pytest alone; their folders hide no package from them."""
    result = tmp_path / "result.xml"
    command = [sys.executable, "-m", "pytest", "-c", "tests/gpu/pytest.ini", "tests/gpu"]
    ended = subprocess.run(
        [*command, f"--junit-xml={result}"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    passed, skipped, broken = outcome(ET.parse(result).getroot())
    assert (passed, broken) == (0, [])
    assert "no CUDA device" in skipped
    folders = {file.name for file in (ROOT / "tests" / "gpu").iterdir() if file.is_dir()}
    assert not folders & {name for part in PARTS for name in part.packages}
