"""The folder of run-time files, tried before anything relies on it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gateway.settings.loader import ConfigError

ENGINES = Path("triton") / "engines"
"""Where the embedded server's backends report what they compute on, below `paths.state`."""


def usable_state(folder: Path) -> None:
    """Create the folder where it is missing, and write into it.

    Raises:
        ConfigError: that is not possible; the message says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"paths.state is {folder}, where nothing can be written ({reason}): name another folder"
        ) from None
