"""The images' locks are parts of requirements/runtime.lock, and enough for the gateway."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.support.containers import DOCKER, ROOT

OPTIONAL = {"dcgm_agent", "dcgm_fields", "dcgm_structs", "DcgmReader", "pydcgm"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has other packages installed")
def test_the_locks_are_current() -> None:
    made = runpy.run_path(str(DOCKER / "locks.py"))["locks"]()
    for name, text in made.items():
        assert (DOCKER / name).read_text() == text, "run .venv/bin/python docker/locks.py"


def test_the_images_packages_are_those_of_every_python_that_makes_the_lock() -> None:
    oldest = runpy.run_path(str(DOCKER / "locks.py"))["OLDEST"]
    text = (ROOT / "requirements" / "runtime.lock").read_text()
    changes = set(re.findall(r"python_full_version >= '3\.(\d+)'", text))
    assert changes <= {str(oldest[1])}, "a version differs between them"


def imported(folder: Path) -> set[str]:
    names = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"gateway"}


def test_the_gateway_imports_nothing_that_its_image_lacks() -> None:
    lock = (DOCKER / "gateway.lock").read_text()
    locked = {canonicalize_name(line.split("==")[0]) for line in lock.splitlines() if "==" in line}
    owners = packages_distributions()
    missing = {
        module
        for module in imported(ROOT / "gateway") - OPTIONAL
        if not {canonicalize_name(name) for name in owners.get(module, [module])} & locked
    }
    assert not missing, f"imported, but not in docker/gateway.lock: {sorted(missing)}"
