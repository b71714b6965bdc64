"""Marks every test by its folder and keeps the environment of the shell out of the tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

from gateway.settings.legacy import LEGACY

LAYERS = ("unit", "contract", "triton", "browser", "vlm", "gpu")
# A shell starts background jobs with Ctrl-C ignored, and the tests' processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile(
    "pentad", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("pentad")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        layer = item.path.relative_to(HERE).parts[0]
        if layer in LAYERS:
            item.add_marker(getattr(pytest.mark, layer))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on variables of the shell, nor writes to the project's own state."""
    for name in list(os.environ):
        if name.startswith("PENTAD_") or name in LEGACY:
            monkeypatch.delenv(name)
