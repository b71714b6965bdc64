"""Reads a multipart form part by part: text into memory, files straight to the disk."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from gateway.errors import BadRequestError, BodyTooLargeError, ClientGoneError
from gateway.jobs.direct_file import DirectFile

MAX_PARTS = 32
MAX_TEXT = 2**16  # bytes of one text field
FLUSH = 2**20  # bytes that are collected for a thread to write: each change of thread costs
MALFORMED = "There was an error parsing the body"


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
        folder: of the files.
        temporary: whether the folder is there and to be deleted; False for who moves it away.
        texts: by field; the last one wins when a field is sent twice.
        files: by field.
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
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind == b"multipart/form-data" and options.get(b"boundary"):
            await _Reader(form, options[b"boundary"], names, max_file).read(request)
        yield form
    finally:
        if form.temporary:
            await asyncio.to_thread(shutil.rmtree, form.folder, ignore_errors=True)


class _Reader:
    """Collects what the parser finds; a thread writes it down while the next bytes arrive."""

    def __init__(
        self, form: Form, boundary: bytes, names: Mapping[str, str], max_file: int
    ) -> None:
        self._form, self._names, self._max_file = form, names, max_file
        self._open: dict[str, tuple[DirectFile, hashlib._Hash]] = {}
        self._writing: asyncio.Future[None] | None = None
        self._jobs: list[Callable[[], None]] = []
        self._pending = 0
        self._parts = 0
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name, self._text = "", bytearray()
        self._file: SavedFile | None = None
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._head(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._head(1, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": lambda data, start, end: self._data(data[start:end]),
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    async def read(self, request: Request) -> None:
        try:
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                self._parser.write(message.get("body", b""))
                more = message.get("more_body", False)
                if self._pending >= FLUSH or not more:
                    await self._flush()
                if not more:
                    break
            await self._written()
        except FormParserError:
            raise BadRequestError(MALFORMED) from None
        finally:
            await self._abandon()
        if not self._ended:
            raise BadRequestError(MALFORMED)

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

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BodyTooLargeError("Too many fields in the form")
        self._headers, self._header = {}, [b"", b""]

    def _head(self, place: int, data: bytes) -> None:
        self._header[place] += data

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._text = bytearray()
        self._file = None
        if b"filename" in options:
            # A file where text was expected is no text; one that nobody asked for is dropped.
            self._form.texts.pop(self._name, None)
            self._file = SavedFile(self._form.folder / self._names.get(self._name, ""))
            if self._name in self._names:
                self._begin_file(self._name, self._file)

    def _begin_file(self, name: str, file: SavedFile) -> None:
        def begin() -> None:
            self._form.folder.mkdir(mode=0o700, exist_ok=True)
            self._open[name] = (DirectFile(file.path), hashlib.sha256())

        self._form.temporary = True
        self._jobs.append(begin)
        self._form.files[name] = file

    def _data(self, data: bytes) -> None:
        if self._file is None:
            self._text += data
            if len(self._text) > MAX_TEXT:
                raise BodyTooLargeError(f"The field {self._name[:64]} is too large")
            return
        self._file.size += len(data)
        if self._file.size > self._max_file:
            raise BodyTooLargeError(
                f"{self._name[:64]} is too large: the limit is {self._max_file} bytes"
            )
        if self._name in self._names:
            self._pending += len(data)
            self._jobs.append(lambda name=self._name: self._write(name, data))  # type: ignore[misc]

    def _write(self, name: str, data: bytes) -> None:
        file, digest = self._open[name]
        file.write(data)
        digest.update(data)

    def _part_end(self) -> None:
        if self._file is None:
            self._form.files.pop(self._name, None)
            self._form.texts[self._name] = self._text.decode("utf-8", "replace")
        elif self._name in self._names:
            self._jobs.append(lambda name=self._name, file=self._file: self._done(name, file))  # type: ignore[misc]

    def _done(self, name: str, file: SavedFile) -> None:
        opened, digest = self._open.pop(name)
        with closing(opened):
            opened.finish()
        file.digest = digest.hexdigest()

    def _end(self) -> None:
        self._ended = True
