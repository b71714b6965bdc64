"""The documentation names what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.settings import Settings
from tests.support.containers import COMPOSE, ROOT, versions

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
WRITTEN_LATER = (
    "docs/reports/", "docs/guide", "docker/secrets/", "docker/prometheus/metrics.key",
    "gateway/services/tokens/", "gateway/settings/tokens.py",  # add-a-service.md
)  # fmt: skip
FOLDERS = r"docker|docs|examples|gateway|launcher|tests"
VARIABLES = ("PENTAD_CONFIG", "PENTAD_SECTION__KEY")  # the file's address; the pattern
EVENTS = ("tryon.completed", "tryon.failed")  # types of callbacks
SECTIONS = "|".join(Settings.model_fields)


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


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


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub and MkDocs make them of ASCII headings."""
    lines = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S).splitlines()
    titles = [line.lstrip("# ").lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


def test_links_lead_to_pages_and_headings(page: Path, text: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", text):
        if "://" in target:
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.is_file(), target
        assert not anchor or anchor in headings(found), f"{target}#{anchor}"


def test_paths_are_in_the_project(text: str) -> None:
    found = re.findall(rf"(?<![\w./:-])((?:{FOLDERS})/[\w./-]*\w)", text)
    for path in found:
        if not path.startswith(WRITTEN_LATER):
            assert (ROOT / path).exists(), path


def test_variables_and_settings_exist(text: str) -> None:
    compose = "\n".join(path.read_text() for path in COMPOSE)
    for variable in re.findall(r"\bPENTAD_[A-Z_]+", text):
        path = variable.removeprefix("PENTAD_").lower().split("__")
        assert (
            variable in VARIABLES
            or named(path)
            or f"${{{variable}:" in compose
            or variable in versions()
        ), variable
    for key in re.findall(rf"`((?:{SECTIONS})\.[a-z_.]+)", text):
        path = key.strip(".").split(".")
        # The old lip-sync file's keys are shown without their section.
        assert key in EVENTS or named(path) or named(["lipsync", *path]), key


def test_profiles_and_targets_exist(text: str) -> None:
    compose = "\n".join(path.read_text() for path in COMPOSE)
    for profile in re.findall(r"--profile (\w+)", text):
        assert f"profiles: [{profile}]" in compose
    for target in re.findall(r"TRITON_TARGET=(\w+)", text):
        assert f" AS {target}\n" in (ROOT / "docker" / "triton.Dockerfile").read_text()


def test_modules_that_are_run_exist(text: str) -> None:
    for module in re.findall(r"python -m ([\w.]+)", text):
        path = ROOT / Path(*module.split("."))
        own = path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
        assert own or module == "pytest", module
