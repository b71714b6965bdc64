"""Pictures out of a multipart form, with the error body of a FastAPI server."""

from __future__ import annotations

from starlette.requests import Request

from gateway.errors import InvalidBodyError
from gateway.http.multipart import FormReader
from gateway.http.problems import missing, problem, too_many

FIELDS = 8  # other parts a form may have; they are ignored


async def read_file(request: Request, name: str) -> bytes:
    """Return the content of the one file field ``name``.

    Raises:
        InvalidBodyError: no form, no such field, or a field that is no file.
        BadRequestError: a malformed form.
        BodyTooLargeError: 413.
    """
    fields = await _read(request, name, FIELDS)
    if not fields:
        raise missing("body", name)
    # The last one wins when a field is sent twice, as in FastAPI.
    return _content(fields[-1], ["body", name])[1]


async def read_files(request: Request, name: str, limit: int) -> list[tuple[str, bytes]]:
    """Return file name and content of every file field ``name``, in order.

    Raises:
        InvalidBodyError: none, more than ``limit``, or a field that is no file.
        BadRequestError: a malformed form.
        BodyTooLargeError: 413.
    """
    fields = await _read(request, name, limit + FIELDS)
    if not fields:
        raise missing("body", name)
    if len(fields) > limit:
        raise too_many(len(fields), limit, "body", name)
    return [_content(field, ["body", name, place]) for place, field in enumerate(fields)]


class _Files(FormReader):
    """Keeps the files of one field in memory, which the body's limit bounds.

    Attributes:
        files: name and content of each, None for a text where a file was expected.
    """

    def __init__(self, field: str, max_parts: int) -> None:
        super().__init__(max_parts)
        self.files: list[tuple[str, bytes] | None] = []
        self._field = field
        self._filename: str | None = None
        self._content: list[bytes] = []

    def text(self, name: str, value: str) -> None:
        if name == self._field:
            self.files.append(None)

    def file_begins(self, name: str, filename: str) -> None:
        self._filename = filename if name == self._field else None
        self._content = []

    def file_data(self, data: bytes) -> None:
        if self._filename is not None:
            self._content.append(data)

    def file_ends(self) -> None:
        if self._filename is not None:
            self.files.append((self._filename, b"".join(self._content)))
            self._content = []


async def _read(request: Request, name: str, max_parts: int) -> list[tuple[str, bytes] | None]:
    reader = _Files(name, max_parts)
    await reader.read(request)
    return reader.files


def _content(field: tuple[str, bytes] | None, where: list[str | int]) -> tuple[str, bytes]:
    if field is None:
        message = "Value error, Expected a file, received text"
        raise InvalidBodyError([problem("value_error", where, message)])
    return field
