"""Where the variables are that keep libraries from reporting (tests/triton/launcher/test_silence.py
listens)."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.privacy import ABSENT, SILENT
from launcher.layout import environment, find_wheel
from tests.support.containers import DOCKER, DOCKERFILES, ROOT


def test_triton_and_all_below_it_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert SILENT.items() <= environment(find_wheel()).items()


@pytest.mark.parametrize("package", ["export", "load_tests", "tests.conftest"])
def test_what_loads_libraries_silences_them_first(package: str) -> None:
    code = (
        f"import os, sys, {package}\n"
        "print([name for name in sys.argv[1:] if name in sys.modules and sys.modules[name]])\n"
        f"from gateway.privacy import SILENT\n"
        "print(SILENT.items() <= os.environ.items())\n"
    )
    libraries = ("onnxruntime", "openvino", "transformers", "huggingface_hub", *ABSENT)
    clean = {name: value for name, value in os.environ.items() if name not in SILENT}
    done = subprocess.run(
        [sys.executable, "-c", code, *libraries],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["[]", "True"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_images_with_models_have_them(file: Path) -> None:
    text = file.read_text()
    if "COPY model_repository" in text:
        given = dict(re.findall(r"^\s*(?:ENV )?(\w+)=(\S+) \\$", text, re.M))
        assert SILENT.items() <= given.items()


def test_nothing_installs_what_only_reports() -> None:
    locks = [
        *ROOT.glob("requirements/*.lock"),
        *DOCKER.glob("*.lock"),
        *ROOT.glob("export/*/*.lock"),
    ]
    assert len(locks) > 5
    for lock in locks:
        for name in ABSENT:
            assert f"\n{name.replace('_', '-')}==" not in lock.read_text(), lock.name


@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="no openvino")
def test_openvino_works_without_its_reporter(tmp_path: Path) -> None:
    """Also where an older environment still has it."""
    backend = ROOT / "launcher" / "backends" / "openvino"
    code = (
        "import sys, ov_silent\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "print(telemetry_utils.tm.__name__, len(ov_silent.openvino.Core().available_devices))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=backend,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("openvino.tools.ovc.telemetry_stub ")
    assert not list(tmp_path.iterdir())
