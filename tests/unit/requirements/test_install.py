"""requirements/install.py: what is installed for which machine, with a stand-in for pip.

The stand-in knows what matters: onnxruntime and onnxruntime-gpu are one folder, so whichever was
installed last owns it, and uninstalling either deletes it; torch's two builds are one version.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.requirements.conftest import SCRIPTS

PIP = """#!{python}
import json, re, sys
from pathlib import Path
state = Path({state!r})
have = json.loads(state.read_text()) if state.exists() else {{}}
arguments = sys.argv[3:]
log = have.setdefault("log", [])
packages = have.setdefault("packages", {{}})
log.append(" ".join(one for one in arguments if not one.startswith("/")))
FILES = ("onnxruntime", "onnxruntime-gpu")
if arguments[0] == "install":
    locks = [Path(one) for before, one in zip(arguments, arguments[1:]) if before == "-r"]
    failing = {failing!r}
    if "--editable" in arguments:
        Path(sys.argv[0]).with_name("pentad").touch()
    if any(lock.name in failing for lock in locks):
        sys.exit(1)
    text = "".join(lock.read_text() for lock in locks)
    pins = re.findall(r"^([\\w.-]+)==(\\S+)(.*)", text, re.M)
    pins = [(name, version) for name, version, rest in pins if "< '3.11'" not in rest]
    if "--dry-run" not in arguments:
        for name, version in pins:
            there = packages.get(name, "")
            same = there == version or there.partition("+")[0] == version
            if same and "--force-reinstall" not in arguments:
                continue
            packages[name] = version
            if name in FILES:
                have["files"] = name
else:
    for name in arguments[1:]:
        if packages.pop(name, None) and name in FILES:
            have["files"] = None
state.write_text(json.dumps(have))
"""


class Environment:
    def __init__(self, folder: Path) -> None:
        self.target = folder / "environment"
        self.state = folder / "state.json"

    def prepare(self, failing: tuple[str, ...] = ()) -> None:
        python = self.target / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(
            PIP.format(python=sys.executable, state=str(self.state), failing=list(failing))
        )
        python.chmod(0o755)

    @property
    def packages(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.state.read_text())["packages"]
        return found

    @property
    def files(self) -> str | None:
        found: str | None = json.loads(self.state.read_text()).get("files")
        return found

    @property
    def calls(self) -> int:
        return len(json.loads(self.state.read_text())["log"])


@pytest.fixture
def installer(script: Callable[[str], ModuleType], tmp_path: Path) -> ModuleType:
    loaded = script("install")
    loaded.DRIVER, loaded.WSL = tmp_path / "driver", tmp_path / "dxg"
    return loaded


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Environment(tmp_path)
    made.prepare()
    return made


def driver(installer: ModuleType, version: str) -> None:
    installer.DRIVER.write_text(
        f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build\n"
        "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
    )


def torch_version() -> str:
    return re.search(r"torch==(\S+)", (SCRIPTS / "torch.lock").read_text()).group(1)  # type: ignore[union-attr]


def test_without_a_driver_it_is_the_cpus(installer: ModuleType, environment: Environment) -> None:
    installer.install(environment.target, ["runtime"])
    assert environment.packages["torch"] == f"{torch_version()}+cpu"
    assert environment.files == "onnxruntime"
    assert not [name for name in environment.packages if name.startswith("nvidia-cublas")]
    calls = environment.calls
    installer.install(environment.target, ["runtime"])
    assert environment.calls == calls


def test_with_a_driver_it_is_cudas_and_only_one_onnxruntime(
    installer: ModuleType, environment: Environment
) -> None:
    driver(installer, "580.95.05")
    for _ in range(2):
        installer.install(environment.target, ["runtime"])
    assert environment.packages["torch"] == torch_version()
    assert "nvidia-cublas" in environment.packages
    assert environment.files == "onnxruntime-gpu"
    assert "onnxruntime" not in environment.packages
    installer.install(environment.target, ["runtime", "test"])  # pip would bring onnxruntime back
    assert environment.files == "onnxruntime-gpu"
    assert "onnxruntime" not in environment.packages


def test_a_driver_that_comes_or_goes_changes_the_builds(
    installer: ModuleType, environment: Environment
) -> None:
    installer.install(environment.target, ["runtime"])
    driver(installer, "580.95.05")
    installer.install(environment.target, ["runtime"])
    assert environment.packages["torch"] == torch_version()
    assert environment.files == "onnxruntime-gpu"
    installer.DRIVER.unlink()
    installer.install(environment.target, ["runtime"])
    assert environment.packages["torch"] == f"{torch_version()}+cpu"
    assert environment.files == "onnxruntime"
    assert "onnxruntime-gpu" not in environment.packages


def test_an_environment_of_before_is_the_cpus_and_is_not_torn_down(
    installer: ModuleType, environment: Environment
) -> None:
    installer.install(environment.target, ["runtime"])
    stamp = environment.target / ".pentad-locks"
    old = [
        line for line in stamp.read_text().splitlines() if not line.startswith(("device", "gpu"))
    ]
    stamp.write_text("\n".join(old) + "\n")
    installer.install(environment.target, ["runtime"])
    assert "uninstall" not in environment.state.read_text()
    assert "device cpu" in stamp.read_text()


def test_an_old_driver_is_said_and_the_cpu_computes(
    installer: ModuleType, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    driver(installer, "535.183.01")
    installer.install(environment.target, ["runtime"])
    assert environment.files == "onnxruntime"
    assert "driver is 535: CUDA needs 580" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "device"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Wed Jan 8", "cpu"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27", "cuda"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  590.44.01  Release", "cuda"),
        ("something that nobody has seen yet", "cuda"),
    ],
)
def test_what_the_driver_says(installer: ModuleType, line: str, device: str) -> None:
    installer.DRIVER.write_text(line + "\n")
    assert installer.gpu_device() == device


def test_windows_driver_counts(installer: ModuleType) -> None:
    assert installer.gpu_device() == "cpu"
    installer.WSL.touch()
    assert installer.gpu_device() == "cuda"


def test_packages_that_cannot_be_had_leave_the_cpus(
    installer: ModuleType, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    driver(installer, "580.95.05")
    environment.prepare(failing=("gpu.lock",))
    installer.install(environment.target, ["runtime"])
    assert "the CPU computes" in capsys.readouterr().out
    assert environment.packages["torch"] == f"{torch_version()}+cpu"
    assert environment.files == "onnxruntime"


def test_pythons_without_a_build_keep_the_cpus_onnxruntime(
    installer: ModuleType, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "GPU_PYTHON", (3, 99))
    installer.install(environment.target, ["runtime"], "cuda")
    assert environment.packages["torch"] == torch_version()
    assert environment.files == "onnxruntime"


def test_the_command_line(
    installer: ModuleType, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "prerequisites", list)
    assert installer.main(["--device", "cuda", str(environment.target), "runtime"]) == 0
    assert environment.files == "onnxruntime-gpu"
    with pytest.raises(SystemExit):
        installer.main(["--device", "tpu", str(environment.target), "runtime"])


def test_both_builds_are_one_version() -> None:
    """The configuration's keys and the graphs' operators are those of one ONNX Runtime."""
    cpu = (SCRIPTS / "runtime.lock").read_text()
    gpu = (SCRIPTS / "gpu.lock").read_text()
    ours = set(re.findall(r"^onnxruntime==(\S+).*>= '3.11'", cpu, re.M))
    assert set(re.findall(r"^onnxruntime-gpu==(\S+)", gpu, re.M)) == ours
