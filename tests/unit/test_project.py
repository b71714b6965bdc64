"""Facts about the tree itself."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from gateway.model_config import load
from tests.conftest import ALONE, LONG

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    out = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / name for name in out.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_repository_holds_only_models() -> None:
    for entry in (ROOT / "model_repository").iterdir():
        assert (entry / "config.pbtxt").is_file(), f"{entry.name} would break Triton's start"


def test_every_config_names_its_folder() -> None:
    for config in tracked("model_repository/*.pbtxt"):
        assert load(config).name == config.relative_to(ROOT / "model_repository").parts[0], config


def test_code_of_models_shadows_nothing() -> None:
    """A model's folder stands last on Triton's path: an installed package would come instead."""
    names = {
        path.stem
        for version in (ROOT / "model_repository").glob("*/1")
        for path in [
            *version.glob("*.py"),
            *(init.parent for init in version.glob("*/__init__.py")),
        ]
    }
    assert {"tenants", "pictures", "response_sender"} <= names
    assert not names & (sys.stdlib_module_names | packages_distributions().keys())


def test_no_module_is_too_long() -> None:
    for module in tracked("*.py"):
        assert len(module.read_text().splitlines()) <= 400, module


def test_help_lists_the_verbs() -> None:
    out = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    for verb in ("run", "test", "triton", "gateway", "models", "lint", "perf", "load"):
        assert re.search(rf"^\s+{verb}\s", out.stdout, re.M), verb


@pytest.mark.parametrize("listed", [ALONE, LONG])
def test_the_listed_tests_are_where_they_are_listed(listed: tuple[str, ...]) -> None:
    assert len(listed) == len(set(listed)) > 3
    for name in listed:
        assert (ROOT / "tests" / name).exists(), name


@pytest.mark.parametrize(
    "name",
    [
        "runtime",
        "test",
        "cuda",
        "gpu",
        "binaries",
        "torch",
        "load",
        "docs",
        "clients",
        "gpu-check",
        "vlm-cpu",
        "vlm-cuda",
    ],
)
def test_locks_pin_versions_with_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    blocks = re.split(r"\n(?=[a-z])", text.split("\n", 1)[1])
    assert blocks
    for block in blocks:
        assert "==" in block.split("\n")[0]
        assert "--hash=sha256:" in block
