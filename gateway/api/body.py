"""JSON bodies, straight from the bytes, and queries: checked with a FastAPI server's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from gateway.errors import InvalidBodyError

M = TypeVar("M", bound=BaseModel)


async def read_body(
    request: Request, model: type[M], context: Mapping[str, int] | None = None
) -> M:
    """Return the validated body.

    Raises:
        InvalidBodyError: 422 with ``[{"type", "loc", "msg", "input", …}]``.
        BodyTooLargeError: 413.
    """
    raw = await request.body()
    if not raw:
        missing = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
        raise InvalidBodyError([missing])
    try:
        return model.model_validate_json(raw, context=context)
    except ValidationError as error:
        raise InvalidBodyError([_item(item) for item in error.errors(include_url=False)]) from None


def read_query(request: Request, model: type[M]) -> M:
    """Return the validated query; parameters the model does not name are ignored.

    Raises:
        InvalidBodyError: 422, as a FastAPI server words it.
    """
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        items = [_item(item, "query") for item in error.errors(include_url=False)]
        raise InvalidBodyError(items) from None


def _item(error: Mapping[str, Any], place: str = "body") -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": error["type"],
        "loc": [place, *error["loc"]],
        "msg": error["msg"],
        "input": error["input"],
    }
    if error["type"] == "json_invalid":
        # FastAPI's wording; what pydantic quotes is the whole body.
        item.update(msg="JSON decode error", input={}, ctx={"error": error["ctx"]["error"]})
    elif "ctx" in error:
        values = error["ctx"].items()
        item["ctx"] = {key: {} if isinstance(value, Exception) else value for key, value in values}
    return item


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI part of a route that reads its body by :func:`read_body`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
