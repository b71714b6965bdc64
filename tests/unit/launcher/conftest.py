from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from launcher.layout import BACKENDS, PYTHON_BASED


@pytest.fixture(scope="session", autouse=True)
def _backend_path() -> Iterator[None]:
    """Makes the backends' modules importable the way Triton does: at the end of sys.path."""
    folders = [str(folder) for folder in (BACKENDS, *(BACKENDS / one for one in PYTHON_BASED))]
    sys.path += folders
    yield
    for folder in folders:
        sys.path.remove(folder)
