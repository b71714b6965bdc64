"""The one way to declare a route: models of its request, its answer, and its errors.

The models describe; the endpoint takes the request and returns the response itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import (
    JSON,
    BadRequestError,
    BodyTooLargeError,
    BusyError,
    DeadlineError,
    ForbiddenError,
    GatewayError,
    InferenceError,
    InvalidBodyError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedCodingError,
)
from gateway.security.hosts import MisdirectedError

Errors = Sequence[type[GatewayError]]
Endpoint = Callable[[Request], Awaitable[Response]]
ALWAYS: Errors = (
    BadRequestError,
    UnauthorizedError,
    ForbiddenError,
    MisdirectedError,
    RateLimitedError,
    GatewayError,
)
"""What middleware may answer on any route."""
BODY: Errors = (BodyTooLargeError, UnsupportedCodingError, InvalidBodyError)
"""What a route with a body may answer beside."""
WORK: Errors = (InferenceError, BusyError, UnavailableError, DeadlineError)
"""What a route that asks a model may answer beside."""


@dataclass(frozen=True)
class Operation:
    """What the API document says of a route beside FastAPI's own words.

    Attributes:
        descriptions: of the answers.
        parameters: types of those in the path, by name.
        headers: descriptions of the headers of a successful answer.
        body: media type and model of the request's body, if there is one.
        optional: whether the body may be left out.
    """

    answers: Mapping[int, Mapping[str, Any]]
    descriptions: Mapping[int, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    body: tuple[str, type[BaseModel]] | None = None
    optional: bool = False


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response itself.

    FastAPI keeps documenting it, but resolves no dependencies, which it has none of.

    Attributes:
        operation: what is said of it, None where it is not in the document.
    """

    operation: Operation | None = None

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def direct(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        # Without the two exit stacks and the second net for errors that FastAPI has for each route:
        # nothing is to be cleaned up, and the application has a net.
        self.app = direct


def declare(
    app: FastAPI,
    method: str,
    path: str,
    summary: str,
    *,
    answer: Any,
    status: int = 200,
    body: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    errors: Errors = (),
    also: Mapping[int, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    description: str | None = None,
    name: str | None = None,
    optional: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Return a decorator that makes a function the endpoint of a route.

    Args:
        app: made by ``service_application``.
        method: of HTTP.
        path: relative to the application's root.
        summary: one line.
        answer: type of the JSON answer, or types by media type.
        status: of a successful answer.
        body: model of a JSON body.
        form: model of a multipart form.
        query: model of the query.
        errors: what it may answer beside what every route may.
        also: types of further answers that are not shaped as errors are, by status; None: empty.
        parameters: types of those in the path; text without one.
        headers: descriptions of a successful answer's headers.
        description: more than a line.
        name: of the operation, unique in the application; the function's without one.
        optional: whether the body may be left out.
    """
    sent = (JSON, body) if body else ("multipart/form-data", form) if form else None
    if sent:
        errors = (*BODY, *errors)
    elif query:
        errors = (InvalidBodyError, *errors)
    error = app.state.error
    content = answer if isinstance(answer, dict) else {JSON: answer}
    answers: dict[int, dict[str, Any]] = {status: content}
    descriptions = {status: HTTPStatus(status).phrase}
    for failure in (*ALWAYS, *errors):
        shown = app.state.invalid if failure is InvalidBodyError else failure.status
        answers.setdefault(shown, {JSON: error})
        words = (failure.__doc__ or "").partition("\n")[0]
        earlier = descriptions.get(shown)
        descriptions[shown] = words if earlier is None or words in earlier else f"{earlier} {words}"
    for code, kind in (also or {}).items():
        answers[code] = {} if kind is None else {JSON: kind}
        descriptions.setdefault(code, HTTPStatus(code).phrase)
    named = {
        parameter: (parameters or {}).get(parameter, str)
        for parameter in re.findall(r"\{(\w+)", path)
    }
    operation = Operation(answers, descriptions, named, headers or {}, query, sent, optional)

    def decorate(endpoint: Endpoint) -> Endpoint:
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            summary=summary,
            description=description,
            operation_id=name or endpoint.__name__,
            response_class=Response,
            status_code=status,
            response_description=descriptions[status],
        )
        route = app.router.routes[-1]
        assert isinstance(route, DirectRoute)  # noqa: S101 - for the type checker
        route.operation = operation
        return endpoint

    return decorate


def at_most(model: type[BaseModel], name: str, count: int) -> type[BaseModel]:
    """Return a request's model as the document tells it: ``name`` has at most ``count`` items.

    The endpoint checks it, in its own words.
    """

    def extend(schema: dict[str, Any]) -> None:
        field = schema["properties"][name]
        arrays = [
            schema for schema in (field, *field.get("anyOf", ())) if schema.get("type") == "array"
        ]
        arrays[0] |= {"minItems": 1, "maxItems": count}

    return told(model, extend)


def told(model: type[BaseModel], extend: Callable[[dict[str, Any]], None]) -> type[BaseModel]:
    """Return a model that differs in what ``extend`` does to its schema alone."""
    before = model.model_config.get("json_schema_extra")

    def both(schema: dict[str, Any]) -> None:
        schema |= before if isinstance(before, dict) else {}
        extend(schema)

    config = ConfigDict(json_schema_extra=both)
    body = {"__doc__": model.__doc__, "__module__": model.__module__, "model_config": config}
    return type(model.__name__, (model,), body)
