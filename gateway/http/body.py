"""JSON bodies, straight from the bytes, and queries: checked with a FastAPI server's errors."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from gateway.errors import ClientGoneError, InvalidBodyError
from gateway.http.large_json import LargeJson, LongKeyError, Partial
from gateway.http.outline import Bounds, Outline
from gateway.http.problems import bounded, not_json, problem, problems_of, string_too_long
from gateway.large_work import worked

M = TypeVar("M", bound=BaseModel)
BOUNDS = Bounds()
PIECE = 2**16  # bytes looked at in one go; a body of one piece is bounded by its commas alone
LARGE = 2**20  # bytes from which the memory counts more than the time of a second step
_ENOUGH = 4  # bytes that tell the encoding


async def read_body(
    request: Request,
    model: type[M],
    context: Mapping[str, int] | None = None,
    *,
    bounds: Bounds = BOUNDS,
    default: M | None = None,
) -> M:
    """Return the validated body, in any encoding that JSON may have.

    Args:
        request: its body has not been read.
        model: what the body must be.
        context: for the model's validators.
        bounds: what the body may hold, checked before anything is built of it.
        default: what an empty body means, where it may be empty.

    Raises:
        InvalidBodyError: 422 with ``[{"type", "loc", "msg", "input", …}]``.
        BodyTooLargeError: 413.
        ClientGoneError: the client left in the middle.
    """
    reader = _Reader(bounds)
    try:
        async for chunk in chunks(request):
            reader.feed(chunk)
        if reader.size:
            reader.finish()
            return await worked(reader.size, _validated, reader, model, context)
    except _PassedError as passed:
        raise await worked(reader.size, reader.refusal, passed) from None
    if default is not None:
        return default
    raise InvalidBodyError([problem("missing", ["body"], "Field required")])


def read_query(request: Request, model: type[M]) -> M:
    """Return the validated query; parameters the model does not name are ignored.

    Raises:
        InvalidBodyError: 422, as a FastAPI server words it.
    """
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise InvalidBodyError(problems_of(error, "query")) from None


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises:
        BodyTooLargeError: 413.
        ClientGoneError: the client left in the middle.
    """
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        more = message.get("more_body", False)
        if body := message.get("body"):
            yield body


def _validated(reader: _Reader, model: type[M], context: Mapping[str, int] | None) -> M:
    try:
        if reader.size <= LARGE:
            return model.model_validate_json(reader.taken(), context=context)
        # One step after the other: in one, every error holds a copy of what it is about.
        return model.model_validate(reader.parsed(), context=context)
    except ValidationError as error:
        raise InvalidBodyError(problems_of(error)) from None


class _PassedError(Exception):
    """A bound is passed.

    Attributes:
        kind: type of the problem.
        message: what the client reads.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(kind)


class _Reader:
    """Collects a body as UTF-8; its outline is looked at as soon as it is of more than a piece.

    Args:
        bounds: what the body may hold.

    Attributes:
        size: bytes so far, as they came.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.size = 0
        self._outline: Outline | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._head: bytes | None = b""  # until the encoding is known
        # One growing buffer would be copied again and again, and leave holes of all sizes.
        self._pieces: list[bytes] = []
        self._rest: bytes | bytearray = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            _PassedError: the body is beyond the bounds.
            InvalidBodyError: not Unicode.
        """
        self.size += len(chunk)
        if self._head is None:
            self._add(chunk)
            return
        self._head += chunk
        if len(self._head) >= _ENOUGH:
            self._begin(self._head)

    def finish(self) -> None:
        """Take note that this was all.

        Raises:
            _PassedError: the body is beyond the bounds.
            InvalidBodyError: not Unicode.
        """
        if self._head is not None:
            self._begin(self._head)
        if self._decoder:
            self._keep(self._decode(b"", final=True))
        if self._outline is None and self._rest.count(b",") >= self._bounds.values:
            self._look(bytes(self._rest))

    def taken(self) -> bytes:
        """Return the finished body as UTF-8 without a byte order mark, and let it go."""
        pieces = self._pieces_so_far()
        self._pieces, self._rest = [], b""
        return b"".join(pieces)

    def parsed(self, partial: Partial = "off") -> Any:
        """Return the value of the body so far, and let the body go.

        Args:
            partial: how a body that is cut is read.

        Raises:
            InvalidBodyError: no JSON.
        """
        spans = self._outline.apart() if self._outline else []
        document = LargeJson(self._pieces_so_far(), spans, self._bounds.string + PIECE)
        self._pieces, self._rest = [], b""
        try:
            return document.parsed(partial)
        except ValueError as error:
            raise InvalidBodyError([not_json(str(error))]) from None
        except LongKeyError:
            raise InvalidBodyError([string_too_long(["body"])]) from None

    def refusal(self, passed: _PassedError) -> InvalidBodyError:
        """Return the error for a body that is beyond the bounds; tells the field it is in."""
        try:
            so_far = self.parsed("trailing-strings")
        except InvalidBodyError as error:
            return error
        field = [*so_far][-1:] if isinstance(so_far, dict) else []
        return InvalidBodyError(bounded([problem(passed.kind, ["body", *field], passed.message)]))

    def _pieces_so_far(self) -> list[bytes]:
        return [*self._pieces, bytes(self._rest)]

    def _begin(self, head: bytes) -> None:
        self._head = None
        encoding = json.detect_encoding(head)
        if encoding == "utf-8-sig":
            head = head[len(codecs.BOM_UTF8) :]
        elif encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)()
        self._add(head)

    def _add(self, chunk: bytes) -> None:
        if self._decoder:
            chunk = self._decode(chunk)
        self._keep(chunk)

    def _decode(self, chunk: bytes, *, final: bool = False) -> bytes:
        assert self._decoder is not None  # noqa: S101 - for the type checker
        try:
            return self._decoder.decode(chunk, final).encode()
        except UnicodeError:
            raise InvalidBodyError([not_json("the body is not valid Unicode")]) from None

    def _keep(self, chunk: bytes) -> None:
        if not self._pieces and not self._rest and len(chunk) <= PIECE:
            self._rest = chunk  # most bodies are one piece
            return
        if self._outline is None:
            self._look(bytes(self._rest))
            self._rest = bytearray(self._rest)
        for at in range(0, len(chunk), PIECE):
            piece = chunk[at : at + PIECE]
            self._rest += piece
            if len(self._rest) >= PIECE:
                self._pieces.append(bytes(self._rest))
                self._rest = bytearray()
            self._look(piece)

    def _look(self, piece: bytes) -> None:
        if self._outline is None:
            self._outline = Outline(self._bounds)
        if passed := self._outline.feed(piece):
            raise _PassedError(*passed)
