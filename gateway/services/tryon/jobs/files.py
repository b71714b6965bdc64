"""Inputs and results of jobs, each whole and kept, or not there: as files, or in the database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, delete, insert, select

from gateway.services.tryon.jobs.database import Database, files, jobs
from gateway.services.tryon.jobs.direct_file import DirectFile
from gateway.sightings import Sightings

PERSON, GARMENT, COMPARISON = "person", "garment", "comparison"
T = TypeVar("T")


def sample_name(result: str, number: int) -> str:
    """Return the name of a job's picture; the first one has its result's."""
    return result if number == 1 else f"{result}-{number}"


class JobFiles(Protocol):
    """Files by folder (one per job) and name."""

    async def adopt(self, folder: str, incoming: Path) -> None:
        """Keep an upload, all files in ``incoming``, which goes away; durable when it returns."""

    async def write(self, folder: str, name: str, data: bytes) -> None:
        """Keep one more file; durable when it returns."""

    async def read(self, folder: str, name: str) -> bytes | None:
        """Return a file, None where it is not there."""

    async def remove(self, folder: str) -> None:
        """Delete a folder and what is in it; a missing one is no error."""

    async def sweep(self, known: Collection[str], older: float) -> int:
        """Delete folders that nobody has known for longer than so many seconds of this process.

        Return how many.
        """


class FolderFiles:
    """Implements :class:`JobFiles` in a folder of the file system.

    Args:
        root: the folder; an upload must be written to the same file system.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._unknown = Sightings()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def adopt(self, folder: str, incoming: Path) -> None:
        """Move the folder to its place and flush it with all that is in it."""
        await asyncio.to_thread(self._adopt, folder, incoming)

    async def write(self, folder: str, name: str, data: bytes) -> None:
        """Write beside, flush, rename, flush the folder."""
        await asyncio.to_thread(write_durably, self._root / folder / name, data)

    async def read(self, folder: str, name: str) -> bytes | None:
        """Read a file whole."""
        try:
            return await asyncio.to_thread((self._root / folder / name).read_bytes)
        except FileNotFoundError:
            return None

    async def remove(self, folder: str) -> None:
        """Delete the folder."""
        await asyncio.to_thread(shutil.rmtree, self._root / folder, ignore_errors=True)

    async def sweep(self, known: Collection[str], older: float) -> int:
        """Delete what an upload or a crash has left."""
        return await asyncio.to_thread(sweep_folders, self._root, known, self._unknown, older)

    def _adopt(self, folder: str, incoming: Path) -> None:
        here = self._root / folder
        os.rename(incoming, here)
        # In the end: a journalling file system commits all that was new with the first of them.
        for path in (*here.iterdir(), here, self._root):
            flush(path)


def write_durably(file: Path, data: bytes) -> None:
    """Write a file so that it is whole and on the disk under its name, or not there.

    Raises:
        OSError: no room, or not permitted.
    """
    part = file.with_name(f".{file.name}.part")
    with contextlib.closing(DirectFile(part)) as opened:
        opened.write(data)
        opened.finish()
        opened.flush()
    os.replace(part, file)
    flush(file.parent)


def flush(path: Path) -> None:
    """Put the content of a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_folders(root: Path, known: Collection[str], unknown: Sightings, older: float) -> int:
    """Delete the folders in ``root`` that have been ``unknown``, and unchanged, for so long."""
    seen: dict[tuple[str, int], Path] = {}
    for folder in root.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if folder.name not in known:
                seen[folder.name, folder.stat().st_mtime_ns] = folder
    old = [seen[name] for name, age in unknown.ages(seen).items() if age >= older]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)


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
