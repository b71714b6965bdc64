"""The whole check in the environment of a GPU machine: NumPy 2, torch, ONNX, ONNX Runtime alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.check.options import ROOT
from tests.gpu.check.parts import LIPSYNC, PARTS

ENVIRONMENT = ROOT / ".venv-gpu-check"
PYTHON = ENVIRONMENT / "bin" / "python"
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def python() -> Path:
    """Its interpreter; `make gpu-check-env` has made it already."""
    command = [sys.executable, "requirements/install.py", str(ENVIRONMENT), "gpu-check"]
    subprocess.run(command, cwd=ROOT, check=True)
    return PYTHON


def test_all_of_it_runs_and_what_it_lacks_is_skipped(python: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util, numpy\n"
        "print(numpy.__version__.split('.')[0])\n"
        "for name in ('pydantic', 'tritonclient', 'pytriton', 'pytest_asyncio'):\n"
        "    assert importlib.util.find_spec(name) is None, name"
    )
    bare = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    assert bare.stdout.strip() == "2"
    command = [python, "-m", "tests.gpu.check", "--device", "cpu", "--quick", "--budget", "1500"]
    ended = subprocess.run(
        [*command, "--out", tmp_path], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    (data,) = tmp_path.glob("gpu-check-*.json")
    told = json.loads(data.read_text())
    assert told["passed"] is True
    assert told["versions"].keys() == {*LIPSYNC}
    outcomes = {one["name"]: (one["state"], one["reason"]) for one in told["sections"]}
    assert outcomes.keys() == {part.name for part in PARTS}
    for part in PARTS:
        state, reason = outcomes[part.name]
        assert state == ("ok" if part.group == "lipsync" else "skipped"), f"{part.name}: {reason}"
        assert part.group != "services" or reason.startswith("needs pytriton, ")
    assert ended.stdout.startswith(f"PASSED on {told['device']}: ")
    assert data.with_suffix(".md").read_text().startswith("# GPU check: ")
