"""Where the configuration itself places models."""

from __future__ import annotations

from gateway.settings import Settings


def forced_devices(settings: Settings) -> dict[str, str]:
    """Return the networks that the configuration places itself, and where."""
    forced = {}
    if settings.text.device != "auto":
        entries = (*settings.text.embed_models.values(), *settings.text.bertscore_models.values())
        forced = {entry.encoder: settings.text.device for entry in entries}
    if settings.vision.device != "auto":
        forced[settings.vision.network] = settings.vision.device
    return forced
