"""An environment from a folder of wheels."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.gpu.check.__main__ import main
from tests.gpu.check.wheels import WheelsError, environment


def write_wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> None:
    """A package of one module that knows its version (the binary distribution format)."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    record = [f"{path},sha256={digest}," for path, digest in digests.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def said(python: Path, code: str) -> str:
    command = [str(python), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_wheels_come_before_what_this_python_has(tmp_path: Path) -> None:
    folder = tmp_path / "wheels of others"
    folder.mkdir()
    write_wheel(folder, "pentad_sample", "1.0")
    write_wheel(folder, "pentad_sample", "2.0")
    write_wheel(folder, "iniconfig", "99.0")  # pytest's, in another version
    write_wheel(folder, "pentad_other_python", "1.0", "cp27-cp27m-win32")
    python, left_out = environment(folder, tmp_path / "venv")
    assert left_out == ["pentad-other-python"]
    assert said(python, "import pentad_sample; print(pentad_sample.VERSION)") == "2.0"
    assert said(python, "import iniconfig; print(iniconfig.VERSION)") == "99.0"
    assert said(python, "import numpy, sys; print(numpy.__file__)").startswith(sys.prefix)


def test_no_wheels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WheelsError, match="there are no wheels"):
        environment(tmp_path, tmp_path / "venv")
    assert main(["--device", "cpu", "--wheels", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("gpu-check: there are no wheels in")
    assert os.environ.get("PIP_NO_INDEX") is None
