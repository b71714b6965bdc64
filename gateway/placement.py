"""Where the configuration itself places models, and whether it counts on a GPU."""

from __future__ import annotations

from gateway.services.registry import SERVICES
from gateway.settings import Settings


def forced_devices(settings: Settings) -> dict[str, str]:
    """Return the networks that the configuration places itself, and where."""
    forced: dict[str, str] = {}
    for name in SERVICES:
        forced |= settings.section(name).forced_devices()
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
    forced = forced_devices(settings).values()
    return any(wants) or any(device.startswith("cuda") for device in forced)
