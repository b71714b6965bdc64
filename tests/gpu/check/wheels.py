"""An environment from a folder of wheels, on top of what this Python has, without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


class WheelsError(Exception):
    """No environment could be made; the text is one sentence."""


def environment(wheels: Path, target: Path) -> tuple[Path, list[str]]:
    """Make the environment `target`.

    What the running interpreter can import stays importable, behind the wheels: torch and CUDA
    are too large to travel. Of several versions the newest that fits this Python is taken.

    Returns:
        Its interpreter, and the names of packages whose wheels do not fit this Python.

    Raises:
        WheelsError: there are no wheels, or this Python cannot make environments.
    """
    names = sorted({_name(wheel) for wheel in wheels.glob("*.whl")})
    if not names:
        raise WheelsError(f"there are no wheels in {wheels}")
    if importlib.util.find_spec("pip") is None:
        raise WheelsError("this Python has no pip")
    python = target / "bin" / "python"
    venv.create(target, symlinks=True)  # without pip: Debian's Python needs a package for that
    left_out = []
    if not _install(python, wheels, names):
        left_out = [name for name in names if not _install(python, wheels, [name])]
    _see_packages_of_this_python(python)  # not before: pip would take them for installed
    return python, left_out


def variables(wheels: Path) -> dict[str, str]:
    """What makes pip take packages from the folder alone, in processes of a part, too."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.resolve().as_uri()}


def _name(wheel: Path) -> str:
    """The package's normalised name (PEP 503); in a wheel's name it ends at the first dash."""
    return re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()


def _install(python: Path, wheels: Path, names: list[str]) -> bool:
    """Whether these packages could all be installed."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "--no-input", "install"]
    command += ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
    environment = {**os.environ, **variables(wheels)}
    ended = subprocess.run(
        [*command, *names], env=environment, check=False, stderr=subprocess.DEVNULL
    )
    return ended.returncode == 0


def _see_packages_of_this_python(python: Path) -> None:
    """A path file: the environment's own packages come first, and path files are followed."""
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    own = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    seen = dict.fromkeys([*own, *(path for path in sys.path if path.endswith("-packages"))])
    lines = [f"import site; site.addsitedir({path!r})" for path in seen]
    (Path(ended.stdout.strip()) / "this_python.pth").write_text("\n".join(lines) + "\n")
