"""Reads a multipart form part by part, within bounds, and writes nothing anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from gateway.errors import BadRequestError, BodyTooLargeError
from gateway.http.body import chunks

MAX_PARTS = 32
MAX_TEXT = 2**16  # bytes of one text field
MAX_HEADERS = 16  # of a part
MAX_HEADER = 4096  # bytes of one of them
MALFORMED = "There was an error parsing the body"


class FormReader(ABC):
    """Hears what a form holds; a subclass says what becomes of it.

    Args:
        max_parts: most fields and files.
    """

    def __init__(self, max_parts: int = MAX_PARTS) -> None:
        self._max_parts = max_parts
        self._parts = 0
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._text: bytearray | None = None
        self._ended = False

    async def read(self, request: Request) -> bool:
        """Read the form; False where the body is none.

        Raises:
            BadRequestError: malformed.
            BodyTooLargeError: too many parts, or a text field that is too long.
            ClientGoneError: the client left in the middle.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data":
            return False
        try:
            parser = self._parser(options.get(b"boundary", b""))
            async for chunk in chunks(request):
                parser.write(chunk)
                await self.pause()
        except FormParserError:
            raise BadRequestError(MALFORMED) from None
        if not self._ended:
            raise BadRequestError(MALFORMED)
        return True

    async def pause(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what takes time, between two chunks of the body."""

    @abstractmethod
    def text(self, name: str, value: str) -> None:
        """Take a text field."""

    @abstractmethod
    def file_begins(self, name: str, filename: str) -> None:
        """Take the beginning of a file."""

    @abstractmethod
    def file_data(self, data: bytes) -> None:
        """Take the next bytes of the file that began last."""

    @abstractmethod
    def file_ends(self) -> None:
        """Take the end of the file that began last."""

    def _parser(self, boundary: bytes) -> MultipartParser:
        if not boundary:
            raise BadRequestError("Missing boundary in multipart.")
        return MultipartParser(
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
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER,
        )

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
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
        filename = options.get(b"filename")
        if filename is None:
            self._text = bytearray()
        else:
            self._text = None
            self.file_begins(self._name, _decoded(filename))

    def _data(self, data: bytes) -> None:
        if self._text is None:
            self.file_data(data)
            return
        self._text += data
        if len(self._text) > MAX_TEXT:
            raise BodyTooLargeError(f"The field {self._name[:64]} is too large")

    def _part_end(self) -> None:
        if self._text is None:
            self.file_ends()
        else:
            self.text(self._name, self._text.decode("utf-8", "replace"))

    def _end(self) -> None:
        self._ended = True


def _decoded(filename: bytes) -> str:
    try:
        return filename.decode()
    except UnicodeDecodeError:
        return filename.decode("latin-1")  # as clients wrote them before HTML 5
