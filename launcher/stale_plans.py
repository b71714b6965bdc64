"""TensorRT plans of another GPU, TensorRT, graph or shape, which Triton must not load."""

from __future__ import annotations

import subprocess
import sys

from gateway.settings import Settings
from launcher.errors import LauncherError

COMMAND = (sys.executable, "-m", "export", "plans", "--retire")


def retire(settings: Settings) -> None:
    """Remove them from the model repository, before Triton starts; they stay in `paths.plans`.

    Where the settings want no plans nothing is done: then nobody loads any.

    Raises:
        LauncherError: They could not be removed.
    """
    if not settings.triton.use_plans:
        return
    status = subprocess.run(COMMAND, check=False).returncode
    if status != 0:
        raise LauncherError(f"stale plans could not be removed ({status})")
