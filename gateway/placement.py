"""Where the configuration itself places models."""

from __future__ import annotations

from gateway.services.registry import SERVICES
from gateway.settings import Settings


def forced_devices(settings: Settings) -> dict[str, str]:
    """Return the networks that the configuration places itself, and where."""
    forced: dict[str, str] = {}
    for name in SERVICES:
        forced |= settings.section(name).forced_devices()
    return forced
