"""The watched folder: which of its files are complete tenants."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.services.lipsync.tenants.catalogue import SUFFIX, is_tenant_id

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
    found: dict[str, Stamp] = {}
    try:
        base = folder.resolve(strict=True)
        entries = list(os.scandir(base))
    except OSError:
        return found
    for entry in entries:
        tenant = entry.name.removesuffix(SUFFIX)
        if tenant == entry.name or not is_tenant_id(tenant):
            continue
        try:
            if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(base):
                continue
            if entry.is_file():
                state = entry.stat()
                found[tenant] = Stamp(state.st_size, state.st_mtime_ns)
        except OSError:
            continue  # it went away meanwhile
    return found


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
