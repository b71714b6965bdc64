"""The parameters of config.pbtxt, as settings."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frames.pixels import Mask
from model_settings import installed, number, one_of

ROOM = "PENTAD_LIPSYNC_ROOM"
"""Environment variable: what whoever started Triton has planned for lip-sync on cards that others
are on; a JSON object of bytes by the number of the card."""


@dataclass(frozen=True)
class Settings:
    """What config.pbtxt and the installation say.

    Attributes:
        device: "auto", "cpu" or "cuda", without number.
        index: Number of the device.
        workers: Threads that compute; 0 is the device's own choice.
        queue_size: Requests under way at once.
        frame_limit: Frames of one request.
        loads: Loads and imports at once.
        blob_folder: Where imports go; None is beside each tenant's file.
        device_memory: Bytes of a GPU for weights; 0 is what is free without the slots'.
        device_room: Bytes of a GPU for weights and slots that its other users leave; 0 is unknown.
        host_memory: Bytes that are pinned at most for weights that a GPU has no room for.
        mask: Rectangle that is black in derived channels.
    """

    device: str
    index: int
    workers: int
    queue_size: int
    frame_limit: int
    loads: int
    blob_folder: Path | None
    device_memory: int
    device_room: int
    host_memory: int
    mask: Mask


def read_settings(parameters: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings from `parameters` of the configuration and `settings.json` in `folder`.

    Raises:
        KeyError: A parameter is missing.
        ValueError: A parameter has no sensible value.
    """
    own = installed(folder)
    values = {**parameters, **own}
    kind, _, place = parameters["device"].partition(":")
    index = number({"device": place or "0"}, "device")
    return Settings(
        # Which kind of device is the installation's to say, which number the configuration's.
        device=one_of({"device": kind, **own}, "device", ("auto", "cpu", "cuda")),
        index=index,
        workers=number(values, "workers"),
        queue_size=number(values, "queue_size", 1),
        frame_limit=number(values, "frame_limit", 1),
        loads=number(values, "loads", 1),
        blob_folder=Path(values["blob_folder"]) if values["blob_folder"] else None,
        device_memory=int(float(values["device_memory_gb"]) * 2**30),
        device_room=_room(index),
        host_memory=int(float(values["host_memory_gb"]) * 2**30),
        mask=Mask.parse(values["mask"]),
    )


def _room(index: int) -> int:
    """Bytes that are planned for lip-sync on a card.

    Raises:
        ValueError: The variable is none of ours.
    """
    rooms = json.loads(os.environ.get(ROOM, "{}"))
    if not isinstance(rooms, dict) or not isinstance(room := rooms.get(str(index), 0), int):
        raise ValueError(f"{ROOM} is no JSON object of numbers")
    return room
