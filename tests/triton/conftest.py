"""The model repository as it is exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.text_models import REPOSITORY, ROOT


@pytest.fixture(scope="session")
def exported_models() -> Path:
    """The model repository with its artefacts, exported unless they are up to date."""
    subprocess.run([sys.executable, "-m", "export", "--services", "text"], cwd=ROOT, check=True)
    return REPOSITORY
