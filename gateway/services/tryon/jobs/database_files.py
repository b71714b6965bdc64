"""Inputs and results of jobs in the database, where several gateways reach them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.services.tryon.jobs.database import StoreError, files, jobs
from gateway.sightings import Sightings

T = TypeVar("T")


class DatabaseFiles:
    """Implements :class:`gateway.services.tryon.jobs.files.JobFiles` in the table `tryon_files`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unknown = Sightings()

    async def adopt(self, folder: str, incoming: Path) -> None:
        """Insert the files of the upload and delete them."""
        await asyncio.to_thread(self._adopt, folder, incoming)

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

    def _adopt(self, folder: str, incoming: Path) -> None:
        contents = [(file.name, file.read_bytes()) for file in incoming.iterdir()]
        self._transact(_write_all, folder, contents)
        shutil.rmtree(incoming, ignore_errors=True)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(self._transact, work, *args)

    def _transact(self, work: Callable[..., T], *args: Any) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection, *args)
        except SQLAlchemyError as error:
            raise StoreError(type(error).__name__) from None


def _write_all(connection: Connection, folder: str, contents: list[tuple[str, bytes]]) -> None:
    for name, data in contents:
        _write(connection, folder, name, data)


def _write(connection: Connection, folder: str, name: str, data: bytes) -> None:
    connection.execute(delete(files).where(files.c.folder == folder, files.c.name == name))
    row = {"folder": folder, "name": name, "data": data, "created": time.time()}
    connection.execute(insert(files).values(row))
