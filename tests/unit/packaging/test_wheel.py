"""The wheel, in an environment that has nothing but it and what it says that it needs."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it out of what git knows, as an installer would out of a clone."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
        capture_output=True,
    ).stdout.decode().split("\0")  # fmt: skip
    for name in filter(None, files):
        if (ROOT / name).is_file():
            copy = source / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (built,) = target.glob("pentad-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and its dependencies by the image's hashes."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    locked = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.lock")]
    if sys.version_info >= (3, 11):  # docker/gateway.lock is for the image's Python
        locked[-1] = str(ROOT / "docker" / "gateway.lock")
    subprocess.run([*pip, *locked], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    return folder


def pentad(environment: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(environment / "bin" / "pentad"), *words]
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=clean, check=False, capture_output=True, text=True, timeout=120
    )


def test_the_wheel_holds_the_packages_and_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "gateway", "launcher", "embedded", "export", "supply",
    }  # fmt: skip
    kept = [name for name in names if name.endswith(("/LICENSE", "/NOTICE"))]
    assert len(kept) == 2
    for package in ("gateway", "launcher", "embedded", "export", "supply"):
        for file in (ROOT / package).rglob("*.py"):
            assert str(file.relative_to(ROOT)) in names


def test_its_needs_are_met(environment: Path) -> None:
    done = subprocess.run(
        [str(environment / "bin" / "pip"), "check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_help_version_and_check(environment: Path, tmp_path: Path) -> None:
    helped = pentad(environment, tmp_path, "--help")
    assert helped.returncode == 0
    assert "capacity" in helped.stdout
    told = pentad(environment, tmp_path, "version")
    assert (told.returncode, told.stdout.strip()) == (0, "0.1.0")
    valid = pentad(environment, tmp_path, "config", "--check")
    assert (valid.returncode, valid.stdout.split(";")[0].strip()) == (0, "configuration: valid")
    (tmp_path / "config.yaml").write_text("servces: [text]\n")
    wrong = pentad(environment, tmp_path, "config", "--check")
    assert wrong.returncode == 2
    assert "servces" in wrong.stderr


def test_a_verb_whose_packages_are_missing_says_how_to_get_them(
    environment: Path, tmp_path: Path
) -> None:
    made = pentad(environment, tmp_path, "models")
    assert made.returncode == 3
    assert "pip install 'pentad[export]'" in made.stderr
    assert "Traceback" not in made.stderr
