"""Where the catalogue comes from: config.yaml, the old server's file, the watched folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.services.lipsync.tenants.catalogue import (
    SUFFIX,
    TenantCatalogue,
    catalogued,
    is_tenant_id,
)
from gateway.settings import ConfigError, Settings, load_settings
from gateway.settings.lipsync import LipsyncSettings

SETTLE_SECONDS = 2.0  # without growth, after which a file counts as complete


class Stamp(NamedTuple):
    """What changes when a file's content does: size in bytes, time of modification in ns."""

    size: int
    mtime_ns: int


class Sighting(NamedTuple):
    """A file's stamp, and since when (monotonic seconds) it has been the same."""

    stamp: Stamp
    since: float


def scan(folder: Path) -> dict[str, Stamp]:
    """Return the stamp of every file in ``folder`` whose name could be a tenant's.

    Links that lead out of the folder are not followed. A folder that is not there is empty.
    """
    stamps: dict[str, Stamp] = {}
    try:
        base = folder.resolve(strict=True)
        entries = list(os.scandir(base))
    except OSError:
        return stamps
    for entry in entries:
        tenant = entry.name.removesuffix(SUFFIX)
        if tenant == entry.name or not is_tenant_id(tenant):
            continue
        try:
            if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(base):
                continue
            if entry.is_file():
                state = entry.stat()
                stamps[tenant] = Stamp(state.st_size, state.st_mtime_ns)
        except OSError:
            continue  # it went away meanwhile
    return stamps


def observed(
    before: Mapping[str, Sighting], now: Mapping[str, Stamp], moment: float, wall: float
) -> dict[str, Sighting]:
    """Return what is known after one more look.

    Args:
        before: what was known.
        now: the look.
        moment: monotonic seconds of it.
        wall: seconds since the epoch: a file seen first counts as unchanged since its
            modification, so that a start does not wait for files of yesterday.
    """
    known = {}
    for tenant, stamp in now.items():
        old = before.get(tenant)
        if old and old.stamp == stamp:
            known[tenant] = old
        elif old:
            known[tenant] = Sighting(stamp, moment)
        else:
            age = max(0.0, wall - stamp.mtime_ns / 1e9)
            known[tenant] = Sighting(stamp, moment - age)
    return known


def complete(
    known: Mapping[str, Sighting], tenants: frozenset[str], moment: float
) -> frozenset[str]:
    """Return the ids whose file has stopped growing.

    Args:
        known: from :func:`observed`.
        tenants: ids that were complete before: they stay, also while they are written anew.
        moment: monotonic seconds.
    """
    settled = (
        tenant
        for tenant, (stamp, since) in known.items()
        if stamp.size > 0 and (tenant in tenants or moment - since >= SETTLE_SECONDS)
    )
    return frozenset(settled)


def stamp_of(file: Path) -> Stamp | None:
    """Return a file's stamp, or None when it is not there."""
    try:
        state = file.stat()
    except OSError:
        return None
    return Stamp(state.st_size, state.st_mtime_ns)


log = logging.getLogger(__name__)


class CatalogueSource:
    """Looks at the files behind the catalogue; blocking, so call it in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._lipsync = settings.lipsync
        self._folder = settings.lipsync.watch_folder
        if settings.lipsync.uses_demo:
            self._folder = settings.lipsync.demo_folder(settings.paths.state)
        self._file = settings.file
        self._files = [file for file in (settings.file, settings.lipsync.config) if file]
        self._stamps = self._look_at_files()
        self._sightings: Mapping[str, Sighting] = {}
        self._watched: frozenset[str] = frozenset()
        self._built: tuple[LipsyncSettings, frozenset[str], TenantCatalogue] | None = None

    def look(self, *, force: bool = False) -> TenantCatalogue:
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
            self._watched = complete(self._sightings, self._watched, moment)
        lipsync, tenants = self._lipsync, self._watched
        if self._built is None or self._built[0] is not lipsync or self._built[1] != tenants:
            root, folder = lipsync.models_root, self._folder
            catalogue = catalogued(lipsync.models, root, folder, sorted(tenants))
            self._built = lipsync, tenants, catalogue
        return self._built[2]

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
