"""Pages for operators name what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.settings import Settings
from tests.support.containers import COMPOSE, ROOT, versions

PAGES = tuple(ROOT / "docs" / name for name in ("deploy.md", "migration.md", "security.md"))
FOLDERS = r"docker|docs|embedded|examples|gateway|tests"
SECTIONS = "|".join(Settings.model_fields)


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param.read_text())


def named(path: list[str]) -> bool:
    """Whether the configuration tree has this key."""
    model: Any = Settings
    for part in path:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return False
        if part not in model.model_fields and not isinstance(getattr(model, part, None), property):
            return False
        model = model.model_fields[part].annotation if part in model.model_fields else None
    return True


def test_links_lead_to_pages(text: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (ROOT / "docs" / target).is_file(), target


def test_paths_are_in_the_project(text: str) -> None:
    found = re.findall(rf"(?<![\w./:-])((?:{FOLDERS})/[\w./-]*\w)", text)
    for path in found:
        if not path.startswith("docker/secrets/"):
            assert (ROOT / path).exists(), path


def test_variables_and_settings_exist(text: str) -> None:
    compose = "\n".join(path.read_text() for path in COMPOSE)
    for variable in re.findall(r"\bPENTAD_[A-Z_]+", text):
        path = variable.removeprefix("PENTAD_").lower().split("__")
        assert named(path) or f"${{{variable}:" in compose or variable in versions(), variable
    for key in re.findall(rf"`((?:{SECTIONS})\.[a-z_.]+)", text):
        assert named(key.strip(".").split(".")), key


def test_profiles_and_targets_exist(text: str) -> None:
    compose = "\n".join(path.read_text() for path in COMPOSE)
    for profile in re.findall(r"--profile (\w+)", text):
        assert f"profiles: [{profile}]" in compose
    for target in re.findall(r"TRITON_TARGET=(\w+)", text):
        assert f" AS {target}\n" in (ROOT / "docker" / "triton.Dockerfile").read_text()


def test_modules_that_are_run_exist(text: str) -> None:
    for module in re.findall(r"python -m ([\w.]+)", text):
        path = ROOT / Path(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
