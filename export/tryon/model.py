"""Writes the body networks and the settings of the try-on model."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from export import artefacts
from export.catalogue import MEDIAPIPE
from export.fetch import checkpoint_folder
from export.progress import Progress
from export.tryon import libraries
from gateway.settings import Settings

MODEL = "tryon"
SETTINGS = "settings.json"
"""Read by the model; see its tryon_settings.py. The gateway loads it as it is."""


@dataclass(frozen=True)
class TryonExport:
    """The try-on model's files.

    Attributes:
        settings: The whole configuration.
    """

    settings: Settings

    def is_current(self) -> bool:
        """See Export."""
        return artefacts.up_to_date(self._folder, self._made_from())

    def make(self, progress: Progress) -> None:
        """See Export."""
        cache = self.settings.paths.cache
        source = checkpoint_folder(MEDIAPIPE, cache, progress)
        if libraries.wanted(self.settings):
            libraries.install(cache, progress)
        with (
            progress.busy(f"export {MODEL} ({self.settings.tryon.model.engine})"),
            artefacts.publish(self._folder, self._made_from()) as scratch,
        ):
            for file in MEDIAPIPE.files:
                shutil.copyfile(source / file, scratch / Path(file).name)
            (scratch / SETTINGS).write_text(_text(self.settings), encoding="utf-8")

    @property
    def _folder(self) -> Path:
        return artefacts.version_folder(self.settings.paths.repository, MODEL)

    def _made_from(self) -> dict[str, str]:
        made_from = {"networks": MEDIAPIPE.sha256, "settings": _text(self.settings)}
        if libraries.wanted(self.settings):
            made_from["libraries"] = libraries.identity()
        return made_from


def model_settings(settings: Settings) -> dict[str, str]:
    """Parameters of the model that the configuration sets, as config.pbtxt writes them."""
    tryon = settings.tryon
    model, workflow = tryon.model, tryon.workflow
    values = {
        **model.model_dump(exclude={"model_type", "remote"}),
        **{f"remote_{name}": value for name, value in model.remote.model_dump().items()},
        **workflow.preprocess.model_dump(),
        **workflow.postprocess.model_dump(),
        **workflow.advanced.model_dump(),
        "steps_file": workflow.steps_file,
        "max_image_bytes": tryon.max_image_bytes,
        "max_pixels": tryon.max_pixels,
    }
    if libraries.wanted(settings):
        values["libraries"] = libraries.folder(settings.paths.cache)
    return {name: _parameter(value) for name, value in values.items()}


def _parameter(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.resolve()) if isinstance(value, Path) else str(value)


def _text(settings: Settings) -> str:
    return json.dumps(model_settings(settings), indent=1, sort_keys=True) + "\n"
