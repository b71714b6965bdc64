"""What JSON answers look like: their bytes, the bodies of errors, and how types are described.

Answers are typed dictionaries: the type checker holds the code that builds them to what the API
document says, and nothing is validated or serialised again on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import ConfigDict, WithJsonSchema, with_config
from starlette.responses import Response
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from gateway.errors import JSON

described = with_config(ConfigDict(use_attribute_docstrings=True))
"""Decorates a typed dictionary whose fields have docstrings."""
Binary = Annotated[
    bytes,
    WithJsonSchema(
        {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    ),
]
"""Bytes as they are: a file of a form, or the whole body of an answer."""

Events = Annotated[
    Any, WithJsonSchema({"description": "Server-sent events, whose `data` is JSON."})
]
"""A stream, which has no type of its own in OpenAPI 3.1."""
OCTETS = "application/octet-stream"
PNG = {"image/png": Binary, OCTETS: Binary}
PICTURE = {"image/png": Binary, "image/jpeg": Binary, "image/webp": Binary, OCTETS: Binary}
"""Answers that are pictures; generators of clients know no other name of bytes than the last."""


@described
class ValidationIssue(TypedDict):
    """One complaint of request validation."""

    type: str
    loc: list[str | int]
    """Where: `body`, `query` or `path`, then names and places."""
    msg: str
    input: Any
    """What was given, or words that say what it was."""
    ctx: NotRequired[dict[str, Any]]


ErrorDetail = TypeAliasType("ErrorDetail", str | list[ValidationIssue])
"""What an error body carries under `detail`."""


@described
class Error(TypedDict):
    """Body of every error."""

    detail: ErrorDetail


def answer(
    content: Mapping[str, Any] | Sequence[Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a JSON answer; arrays of NumPy are written as lists."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, JSON)
