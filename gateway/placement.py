"""Where the configuration itself places models, and whether it counts on a GPU."""

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


def expects_gpu(settings: Settings) -> bool:
    """Return whether the configuration counts on a GPU, instead of taking what is found."""
    tryon = settings.tryon.model
    wants = [
        settings.triton.use_plans,
        settings.lipsync.gpus.enabled is True and "lipsync" in settings.services,
        settings.telemetry.gpu.dcgm_address is not None,
        "tryon" in settings.services and tryon.engine != "warp" and tryon.device.startswith("cuda"),
    ]
    return any(wants) or any(one.startswith("cuda") for one in forced_devices(settings).values())
