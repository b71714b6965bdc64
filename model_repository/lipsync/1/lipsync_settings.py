"""The parameters of config.pbtxt, as settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frames.pixels import Mask

FILE = "settings.json"
"""Beside model.py: parameters that the installation sets, in place of config.pbtxt's."""


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
    host_memory: int
    mask: Mask


def read_settings(parameters: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings from `parameters` of the configuration and `settings.json` in `folder`.

    Raises:
        KeyError: A parameter is missing.
        ValueError: A parameter has no sensible value.
    """
    file = folder / FILE
    own = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    given = {**parameters, **own}
    kind, _, number = parameters["device"].partition(":")
    kind = own.get("device", kind)  # which kind of device is the installation's to say,
    if kind not in ("auto", "cpu", "cuda"):  # which number is the configuration's
        raise ValueError(f"device {kind!r} is neither auto nor cpu nor cuda")
    return Settings(
        device=kind,
        index=_count(number or "0"),
        workers=_count(given["workers"]),
        queue_size=_count(given["queue_size"], least=1),
        frame_limit=_count(given["frame_limit"], least=1),
        loads=_count(given["loads"], least=1),
        blob_folder=Path(given["blob_folder"]) if given["blob_folder"] else None,
        device_memory=int(float(given["device_memory_gb"]) * 2**30),
        host_memory=int(float(given["host_memory_gb"]) * 2**30),
        mask=Mask.parse(given["mask"]),
    )


def _count(text: str, least: int = 0) -> int:
    number = int(text)
    if number < least:
        raise ValueError(f"{number} is less than {least}")
    return number
