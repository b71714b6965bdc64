"""`/v1/models`, which lists the models of every service that speaks OpenAI's dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from gateway.errors import NotFoundError
from gateway.http.answers import answer, described
from gateway.http.application import service_application
from gateway.http.assembly import Assembly, Checks
from gateway.http.declaration import declare
from gateway.http.openai_errors import UnknownModelError, openai_error

TITLE = "Pentad OpenAI-compatible API"
PATH = "/models"
ModelLists = Mapping[str, Callable[[], Sequence[str]]]
"""By service: returns the names by which its models are asked for."""


@described
class OpenAIModel(TypedDict):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


@described
class OpenAIModels(TypedDict):
    """The models that are served."""

    object: Literal["list"]
    data: list[OpenAIModel]


@described
class OpenAIProblem(TypedDict):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    """The field that is wrong."""
    code: str | None


@described
class OpenAIError(TypedDict):
    """Body of every error."""

    error: OpenAIProblem


def openai_application(description: str) -> FastAPI:
    """Return an application without routes whose errors are OpenAI's."""
    return service_application(TITLE, description, openai_error, error=OpenAIError, invalid=400)


def add_models(app: FastAPI, lists: ModelLists) -> None:
    """Add the routes.

    Args:
        app: made by :func:`openai_application`.
        lists: services may be added to it later.
    """

    def names() -> list[str]:
        return list(dict.fromkeys(name for listed in lists.values() for name in listed()))

    @declare(app, "GET", PATH, "Models this endpoint serves", answer=OpenAIModels)
    async def models(request: Request) -> Response:
        body = {"object": "list", "data": [_model(name) for name in names()]}
        return answer(body)

    @declare(
        app, "GET", PATH + "/{model:path}", "One of these models", answer=OpenAIModel,
        errors=(UnknownModelError,),
    )  # fmt: skip
    async def model(request: Request) -> Response:
        name, known = request.path_params["model"], names()
        if not name:
            raise NotFoundError
        if name not in known:
            raise UnknownModelError(f"Unknown model; available models: {', '.join(sorted(known))}")
        return answer(_model(name))


def add_listing(assembly: Assembly) -> None:
    """Add the list alone, where no service has `/v1` itself."""
    lists = assembly.model_lists
    app = openai_application("The models of the OpenAI-compatible routes.")
    add_models(app, lists)
    checks = Checks(2**16, render=openai_error, shared={PATH: lists})
    assembly.add(next(iter(lists)), app, "/v1", checks)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "pentad"}
