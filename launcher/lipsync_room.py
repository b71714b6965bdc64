"""How much of a card lip-sync may take beside others, by the plan of this machine.

Lip-sync keeps its tenants where there is room. By what is free alone it would take the place of
whoever is loaded after it, and after a reload that of vLLM, which asks for its share as a whole.
"""

from __future__ import annotations

import json

from gateway.capacity.compute import size_up
from gateway.capacity.machine import this_machine
from gateway.placement import forced_devices
from gateway.settings import Settings
from launcher.layout import LIPSYNC_ROOM


def lipsync_room(settings: Settings) -> dict[str, str]:
    """Return what lip-sync is told by its environment; nothing where no card is shared."""
    if "lipsync" not in settings.services:
        return {}
    try:
        sizing = size_up(settings, this_machine(), forced_devices(settings))
    except (OSError, ValueError):  # `check_capacity` says why
        return {}
    rooms = {
        number: device.lipsync_room
        for number, device in enumerate(sizing.devices)
        if device.lipsync_room
    }
    return {LIPSYNC_ROOM: json.dumps(rooms)} if rooms else {}
