"""Inputs and results of jobs in the database, where several gateways reach them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, select

from gateway.services.tryon.jobs.database import Database, files, jobs
from gateway.sightings import Sightings

T = TypeVar("T")


class DatabaseFiles:
    """Implements :class:`gateway.services.tryon.jobs.files.JobFiles` in the table `tryon_files`.

    Every method raises StoreError when the database fails.

    Args:
        database: that of the jobs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unknown = Sightings()

    async def adopt(self, folder: str, incoming: Path) -> None:
        """Insert the files of the upload and delete them."""
        contents = await asyncio.to_thread(_read_all, incoming)
        await self._run(_write_all, folder, contents)
        await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)

    async def write(self, folder: str, name: str, data: bytes) -> None:
        """Insert or replace a file."""
        await self._run(_write, folder, name, data)

    async def read(self, folder: str, name: str) -> bytes | None:
        """Select a file."""
        query = select(files.c.data).where(files.c.folder == folder, files.c.name == name)
        total = await self._run(lambda connection: connection.execute(query).scalar())
        return None if total is None else bytes(total)

    async def remove(self, folder: str) -> None:
        """Delete a job's files."""
        gone = delete(files).where(files.c.folder == folder)
        await self._run(lambda connection: connection.execute(gone))

    async def sweep(self, known: Collection[str], older: float) -> int:
        """Delete files of jobs that were never accepted; the database itself knows the others."""
        unknown = files.c.folder.not_in(select(jobs.c.folder).where(jobs.c.state != "expired"))
        query = select(files.c.folder).where(unknown).distinct()
        seen = await self._run(lambda connection: connection.execute(query).scalars().all())
        old = [folder for folder, age in self._unknown.ages(seen).items() if age >= older]
        gone = delete(files).where(unknown, files.c.folder.in_(old))
        await self._run(lambda connection: connection.execute(gone))
        return len(old)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await self._database.run(lambda connection: work(connection, *args))


def _read_all(folder: Path) -> list[tuple[str, bytes]]:
    return [(file.name, file.read_bytes()) for file in folder.iterdir()]


def _write_all(connection: Connection, folder: str, contents: list[tuple[str, bytes]]) -> None:
    for name, data in contents:
        _write(connection, folder, name, data)


def _write(connection: Connection, folder: str, name: str, data: bytes) -> None:
    connection.execute(delete(files).where(files.c.folder == folder, files.c.name == name))
    row = {"folder": folder, "name": name, "data": data, "created": time.time()}
    connection.execute(insert(files).values(row))
