"""The one error of the launcher: a message for the person who started it."""

from __future__ import annotations


class LauncherError(RuntimeError):
    """Triton cannot be started or kept running; the text says why and what to change."""
