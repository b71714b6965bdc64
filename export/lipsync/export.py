"""What the lip-sync service needs on disk: device folders, and the demo's tenants."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.lipsync.devices import devices_are_current, write_devices
from export.lipsync.importing import default_layouts, import_files
from export.progress import Progress
from gateway.settings import Settings

STAMP = ".demo.json"
VERSION = 2
"""Raised when the same settings would give other demo tenants."""


@dataclass(frozen=True)
class LipsyncExport:
    """Folders for `gpus.count` devices; demo tenants when no others are configured.

    Attributes:
        settings: The whole configuration.
    """

    settings: Settings

    def is_current(self) -> bool:
        """See Export."""
        return devices_are_current(self.settings) and self._demo_is_current()

    def make(self, progress: Progress) -> None:
        """See Export."""
        write_devices(self.settings)
        if not self._demo_is_current():
            self._write_demo(progress)

    @property
    def _folder(self) -> Path:
        return self.settings.lipsync.demo_folder(self.settings.paths.state)

    def _facts(self) -> dict[str, Any]:
        return {"version": VERSION, "tenants": self.settings.lipsync.demo_tenants}

    def _demo_is_current(self) -> bool:
        if not self.settings.lipsync.uses_demo:
            return True
        try:
            stamp = json.loads((self._folder / STAMP).read_text(encoding="utf-8"))
            whole = all((self._folder / name).is_file() for name in stamp["files"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return whole and stamp.get("made_from") == self._facts()

    def _write_demo(self, progress: Progress) -> None:
        # Imported late: it brings torch, and mostly there is nothing to make.
        from export.lipsync.demo import write_tenants

        folder, count = self._folder, self.settings.lipsync.demo_tenants
        (folder / STAMP).unlink(missing_ok=True)
        with progress.steps("demo tenants, not trained", 2 * count) as step:
            files = write_tenants(folder, count, face=True, written=step)
            results = import_files(
                files,
                self.settings.paths.repository,
                layouts=default_layouts(),
                blob_folder=self.settings.lipsync.blob_folder,
                done=lambda result: step(result.file.name),
            )
        for result in results:
            if result.error:
                raise ExportError(f"{result.file.name}: {result.error}")
        stamp = {"made_from": self._facts(), "files": [file.name for file in files]}
        (folder / STAMP).write_text(json.dumps(stamp) + "\n", encoding="utf-8")
