"""Pictures out of a multipart form, with the error body of a FastAPI server."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from gateway.errors import InvalidBodyError

FIELDS = 8  # other parts a form may have; they are ignored


async def read_file(request: Request, name: str) -> bytes:
    """Return the content of the one file field ``name``.

    Raises:
        InvalidBodyError: no form, no such field, or a field that is no file.
        HTTPException: 400, a malformed form.
        BodyTooLargeError: 413.
    """
    form = await _form(request, max_files=FIELDS)
    try:
        # The last one wins when a field is sent twice, as in FastAPI.
        return await _content(form.get(name), ["body", name])
    finally:
        await form.close()


async def read_files(request: Request, name: str, limit: int) -> list[tuple[str, bytes]]:
    """Return file name and content of every file field ``name``, in order.

    Raises:
        InvalidBodyError: none, more than ``limit``, or a field that is no file.
        HTTPException: 400, a malformed form.
        BodyTooLargeError: 413.
    """
    form = await _form(request, max_files=limit + FIELDS)
    try:
        fields = form.getlist(name)
        if not fields:
            raise _missing(["body", name])
        if len(fields) > limit:
            message = f"List should have at most {limit} items, not {len(fields)}"
            raise _invalid("too_long", ["body", name], message)
        return [
            (getattr(field, "filename", None) or "", await _content(field, ["body", name, place]))
            for place, field in enumerate(fields)
        ]
    finally:
        await form.close()


def file_body(name: str, *, several: bool = False) -> dict[str, Any]:
    """Return the OpenAPI part of a route that reads its pictures by this module."""
    file = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}
    field = {"type": "array", "items": file} if several else file
    schema = {"type": "object", "required": [name], "properties": {name: field}}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


async def _form(request: Request, max_files: int) -> FormData:
    return await request.form(max_files=max_files, max_fields=FIELDS)


async def _content(field: UploadFile | str | None, where: list[str | int]) -> bytes:
    if field is None:
        raise _missing(where)
    if isinstance(field, str):
        raise _invalid("value_error", where, "Value error, Expected a file, received text")
    return await field.read()


def _missing(where: list[str | int]) -> InvalidBodyError:
    return _invalid("missing", where, "Field required")


def _invalid(kind: str, where: list[str | int], message: str) -> InvalidBodyError:
    return InvalidBodyError([{"type": kind, "loc": where, "msg": message, "input": None}])
