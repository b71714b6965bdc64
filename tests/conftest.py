"""Marks every test by its folder and keeps the environment of the shell out of the tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

from gateway.settings.legacy import LEGACY

# Crashes, floods and other engines; `make test` leaves them to `make test-long`.
LONG = (
    "media/test_decoder_fuzz.py",
    "triton/embedded/test_supervisor.py",
    "triton/emotions/test_vlm_stories.py",
    "triton/gateway/test_elsewhere.py",
    "triton/gateway/test_recovery.py",
    "triton/gateway/test_tracing.py",
    "triton/gateway_lipsync/test_restart.py",
    "triton/gateway_lipsync/test_traffic.py",
    "triton/iot/faces/test_other_networks.py",
    "triton/jobs/",
    "triton/lipsync/test_lipsync_traffic.py",
    "triton/plans/",
    "triton/scale/",
    "triton/tryon/test_other_engines.py",
    "triton/vision/test_other_classifiers.py",
)
LAYERS = ("unit", "contract", "media", "triton", "browser", "vlm", "gpu")
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
        path = item.path.relative_to(HERE)
        if path.parts[0] in LAYERS:
            item.add_marker(getattr(pytest.mark, path.parts[0]))
        if path.as_posix().startswith(LONG):
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on variables of the shell, nor writes to the project's own state."""
    for name in list(os.environ):
        if name.startswith("PENTAD_") or name in LEGACY:
            monkeypatch.delenv(name)
