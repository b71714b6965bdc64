"""The form of a try-on: texts in memory, files straight to the disk."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from gateway.errors import BodyTooLargeError
from gateway.http.multipart import FormReader
from gateway.services.tryon.jobs.direct_file import DirectFile

FLUSH = 2**20  # bytes that are collected for a thread to write: each change of thread costs


@dataclass
class SavedFile:
    """A file of the form.

    Attributes:
        path: where it is.
        digest: SHA-256 of its content.
        size: bytes.
    """

    path: Path
    digest: str = ""
    size: int = 0


@dataclass
class Form:
    """What a form held.

    Attributes:
        temporary: whether the folder is there and to be deleted; False for who moves it away.
        texts: by field; the last one wins when a field is sent twice.
    """

    folder: Path
    temporary: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, SavedFile] = field(default_factory=dict)


@asynccontextmanager
async def read_form(
    request: Request, incoming: Path, names: Mapping[str, str], max_file: int
) -> AsyncIterator[Form]:
    """Read a form for the block; its files are written, and deleted afterwards if temporary.

    Args:
        request: its body has not been read.
        incoming: folder in which the form gets a folder of its own.
        names: file name by field; files of other fields are dropped.
        max_file: bytes of a file.

    Raises:
        BadRequestError: malformed.
        BodyTooLargeError: a file or field is too large, or there are too many parts.
        ClientGoneError: the client left in the middle.
        OSError: no room on the disk.
    """
    form = Form(incoming / uuid.uuid4().hex)
    try:
        await _Reader(form, names, max_file).save(request)
        yield form
    finally:
        if form.temporary:
            await asyncio.to_thread(shutil.rmtree, form.folder, ignore_errors=True)


class _Reader(FormReader):
    """Keeps what a form holds; a thread writes it down while the next bytes arrive."""

    def __init__(self, form: Form, names: Mapping[str, str], max_file: int) -> None:
        super().__init__()
        self._form, self._names, self._max_file = form, names, max_file
        self._open: dict[str, tuple[DirectFile, hashlib._Hash]] = {}
        self._writing: asyncio.Future[None] | None = None
        self._jobs: list[Callable[[], None]] = []
        self._pending = 0
        self._field, self._file = "", SavedFile(form.folder)

    async def save(self, request: Request) -> None:
        try:
            await self.read(request)
            await self._flush()
            await self._written()
        finally:
            await self._abandon()

    async def pause(self) -> None:
        if self._pending >= FLUSH:
            await self._flush()

    async def _flush(self) -> None:
        """Let a thread do what is to be done, once it has done what it was given before."""
        await self._written()
        jobs, self._jobs, self._pending = self._jobs, [], 0

        def work() -> None:
            for job in jobs:
                job()

        if jobs:
            self._writing = asyncio.get_running_loop().run_in_executor(None, work)

    async def _written(self) -> None:
        if self._writing:
            await asyncio.shield(self._writing)
            self._writing = None

    async def _abandon(self) -> None:
        """Close what a form that was not read to its end has left open."""
        if self._writing:
            await asyncio.wait({self._writing})
            self._writing.exception()  # that of the form is told
        for file, _ in self._open.values():
            file.close()

    def text(self, name: str, value: str) -> None:
        self._form.files.pop(name, None)
        self._form.texts[name] = value

    def file_begins(self, name: str, filename: str) -> None:
        # A file where text was expected is no text; one that nobody asked for is dropped.
        self._form.texts.pop(name, None)
        self._field = name
        self._file = file = SavedFile(self._form.folder / self._names.get(name, ""))
        if name not in self._names:
            return

        def begin() -> None:
            self._form.folder.mkdir(mode=0o700, exist_ok=True)
            self._open[name] = (DirectFile(file.path), hashlib.sha256())

        self._form.temporary = True
        self._jobs.append(begin)
        self._form.files[name] = file

    def file_data(self, data: bytes) -> None:
        self._file.size += len(data)
        if self._file.size > self._max_file:
            raise BodyTooLargeError(
                f"{self._field[:64]} is too large: the limit is {self._max_file} bytes"
            )
        if self._field in self._names:
            self._pending += len(data)
            self._jobs.append(lambda name=self._field: self._write(name, data))  # type: ignore[misc]

    def _write(self, name: str, data: bytes) -> None:
        file, digest = self._open[name]
        file.write(data)
        digest.update(data)

    def file_ends(self) -> None:
        if self._field in self._names:
            self._jobs.append(lambda name=self._field, file=self._file: self._done(name, file))  # type: ignore[misc]

    def _done(self, name: str, file: SavedFile) -> None:
        opened, digest = self._open.pop(name)
        with closing(opened):
            opened.finish()
        file.digest = digest.hexdigest()
