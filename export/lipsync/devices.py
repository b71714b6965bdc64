"""One Triton model per device: copies of the committed configuration, and what differs here."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from export.errors import ExportError
from export.lipsync.importing import MODEL
from gateway.model_config import load, text_of
from gateway.settings import Settings

FILE = "settings.json"
"""Read by the model; see its lipsync_settings.py."""


def model_settings(settings: Settings) -> dict[str, str]:
    """Parameters of the model that the configuration sets."""
    lipsync = settings.lipsync
    parameters = {
        "mask": ",".join(map(str, lipsync.mask)),
        "device_memory_gb": str(lipsync.gpus.memory_gb_per_gpu),
    }
    if lipsync.gpus.enabled is False:
        parameters["device"] = "cpu"
    if lipsync.blob_folder is not None:
        parameters["blob_folder"] = str(lipsync.blob_folder.resolve())
    return parameters


def devices_are_current(settings: Settings) -> bool:
    """Whether every file that `write_devices` writes is there and as it would be."""
    wanted = _files(settings)
    for file, content in wanted.items():
        try:
            if file.read_text(encoding="utf-8") != content:
                return False
        except OSError:
            return False
    return {file.parent for file in wanted if file.name == "config.pbtxt"} == _present(settings)


def write_devices(settings: Settings) -> None:
    """Write the settings, make a folder for each further device, remove superfluous ones.

    Raises:
        ExportError: The committed configuration does not name a device.
    """
    wanted = _files(settings)
    for folder in _present(settings) - {file.parent for file in wanted}:
        (folder / "1").unlink(missing_ok=True)
        shutil.rmtree(folder)
    for file, content in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        part.write_text(content, encoding="utf-8")
        os.replace(part, file)
        version = file.parent / "1"
        if file.name == "config.pbtxt" and not version.is_symlink():
            version.symlink_to(f"../{MODEL}/1")


def _files(settings: Settings) -> dict[Path, str]:
    """Content by file."""
    repository = settings.paths.repository
    config = load(repository / MODEL / "config.pbtxt")
    if "device" not in config.parameters:
        raise ExportError(f"{MODEL}/config.pbtxt has no parameter device")
    device = config.parameters["device"]
    kind = device.string_value.partition(":")[0]
    own = json.dumps(model_settings(settings), indent=1, sort_keys=True) + "\n"
    files = {repository / MODEL / "1" / FILE: own}
    for number, name in enumerate(settings.lipsync.device_models):
        if number and name.startswith(MODEL):
            folder = repository / name
            config.name, device.string_value = name, f"{kind}:{number}"
            files[folder / "config.pbtxt"] = text_of(config)
            files[folder / ".gitignore"] = "*\n"
    return files


def _present(settings: Settings) -> set[Path]:
    """Folders of further devices."""
    repository = settings.paths.repository
    return {
        folder
        for folder in repository.glob(f"{MODEL}_*")
        if re.fullmatch(rf"{MODEL}_\d+", folder.name) and (folder / "1").is_symlink()
    }
