"""Reads what docker/ describes: Dockerfiles, compose files, versions."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE = (DOCKER / "compose.yaml", DOCKER / "compose.cpu.yaml")
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


def versions(folder: Path = DOCKER) -> dict[str, str]:
    """Return docker/versions.env, of this checkout or of the folder of another one."""
    lines = (folder / "versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text: str, values: dict[str, str]) -> str:
    """Return a compose file with its variables replaced as Compose does; a missing one raises."""

    def replace(match: re.Match[str]) -> str:
        name, kind, more = match.groups()
        if values.get(name):
            return values[name]
        if kind == ":-":
            return str(more)
        raise KeyError(name)

    return _VARIABLE.sub(replace, text)


def compose(path: Path) -> dict[str, Any]:
    """Return a compose file as Compose would read it with docker/versions.env."""
    return dict(yaml.safe_load(interpolated(path.read_text(), versions())))


@dataclass
class Stage:
    """One stage of a Dockerfile: its base, its name, its instructions."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, kind: str) -> list[str]:
        """Return the arguments of every instruction of a kind."""
        return [text for word, text in self.instructions if word == kind]


def stages(path: Path) -> list[Stage]:
    """Return the stages of a Dockerfile; instructions before the first FROM are left out."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.M)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    found: list[Stage] = []
    for line in filter(str.strip, lines):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif found:
            found[-1].instructions.append((word, rest.strip()))
    return found


def carried() -> set[str]:
    """Return the project's files: tracked or new, not ignored."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(out.stdout.splitlines())


def sources(folders: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 sums of the program's files below folders of the project, by their names.

    Links to folders are followed, as `COPY` keeps them; empty placeholders are left out.
    """
    paths: set[Path] = set()
    for name in carried():
        if name.startswith(tuple(f"{folder}/" for folder in folders)):
            path = ROOT / name
            paths |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
        if path.name != ".gitkeep" and path.is_file()
    }
