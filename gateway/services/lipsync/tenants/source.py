"""Where the catalogue comes from: config.yaml, the old server's file, the watched folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from gateway.services.lipsync.tenants.catalogue import Catalogue, catalogued
from gateway.services.lipsync.tenants.folder import (
    Sighting,
    Stamp,
    complete,
    observed,
    scan,
    stamp_of,
)
from gateway.settings import ConfigError, Settings, load_settings
from gateway.settings.lipsync import LipsyncSettings

log = logging.getLogger(__name__)


class CatalogueSource:
    """Looks at the files behind the catalogue; blocking, so call it in a thread.

    Args:
        settings: those the gateway runs with.
    """

    def __init__(self, settings: Settings) -> None:
        self._lipsync = settings.lipsync
        self._folder = settings.lipsync.watch_folder
        if settings.lipsync.uses_demo:
            self._folder = settings.lipsync.demo_folder(settings.paths.state)
        self._file = settings.file
        self._files = [file for file in (settings.file, settings.lipsync.config) if file]
        self._stamps = self._look_at_files()
        self._sightings: Mapping[str, Sighting] = {}
        self._found: frozenset[str] = frozenset()
        self._made: tuple[LipsyncSettings, frozenset[str], Catalogue] | None = None

    def look(self, *, force: bool = False) -> Catalogue:
        """Return the catalogue as the files are now.

        A configuration that has become invalid is reported and the last valid one holds.
        ``force`` reads the configuration also when it looks unchanged.
        """
        stamps = self._look_at_files()
        if force or stamps != self._stamps:
            self._stamps = stamps
            self._reread()
        moment = time.monotonic()
        if self._folder is not None:
            self._sightings = observed(self._sightings, scan(self._folder), moment, time.time())
            self._found = complete(self._sightings, self._found, moment)
        lipsync, found = self._lipsync, self._found
        if self._made is None or self._made[0] is not lipsync or self._made[1] != found:
            made = catalogued(lipsync.models, lipsync.models_root, self._folder, sorted(found))
            self._made = lipsync, found, made
        return self._made[2]

    def _look_at_files(self) -> list[Stamp | None]:
        return [stamp_of(file) for file in self._files]

    def _reread(self) -> None:
        if self._file is None:
            return
        try:
            fresh = load_settings(self._file).lipsync
            catalogued(fresh.models, fresh.models_root, None, ())
        except (ConfigError, ValueError) as error:
            log.error("configuration not reloaded", extra={"reason": str(error)})
            return
        if _rest(fresh) != _rest(self._lipsync):
            log.warning("only the tenants were reloaded; other changes need a restart")
        log.info("configuration reloaded", extra={"models": len(fresh.models)})
        self._lipsync = self._lipsync.model_copy(
            update={"models": fresh.models, "models_root": fresh.models_root}
        )


def _rest(settings: LipsyncSettings) -> LipsyncSettings:
    return settings.model_copy(update={"models": {}, "models_root": ""})
