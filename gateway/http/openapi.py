"""The OpenAPI documents: FastAPI's own words, and what the declarations of the routes add."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from gateway.http.declaration import DirectRoute, Operation

Schema = dict[str, Any]
_TEMPLATE = "#/components/schemas/{model}"
_BEARER = "Bearer"
_SCHEMES: dict[str, Schema] = {_BEARER: {"type": "http", "scheme": "bearer"}}
_RETRY = {
    "Retry-After": {
        "description": "Whole seconds after which to try again, where that may help.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


@dataclass(frozen=True)
class Door:
    """Who may call the routes of an application.

    Attributes:
        headers: those in which a key is read, beside `Authorization`.
        open_paths: that never need a key; one that ends with ``/*`` stands for all below it.
        closed: whether the others do.
    """

    headers: tuple[str, ...]
    open_paths: Collection[str]
    closed: bool

    def requirements(self, path: str) -> list[Schema]:
        """Return what a route needs, in OpenAPI's words: any one of several."""
        folders = tuple(path[:-1] for path in self.open_paths if path.endswith("/*"))
        if path in self.open_paths or path.startswith(folders):
            return []
        keys: list[Schema] = [{_scheme(header): []} for header in self.headers]
        return [*([] if self.closed else [{}]), *keys, {_BEARER: []}]

    def schemes(self) -> Schema:
        """Return the security schemes by name."""
        keys = {
            _scheme(header): {"type": "apiKey", "in": "header", "name": header}
            for header in self.headers
        }
        return {**keys, **_SCHEMES}


def document(app: FastAPI) -> Schema:
    """Return the document of one application made by ``service_application``.

    Raises:
        ValueError: two models have one name.
    """
    routes = [route for route in app.routes if isinstance(route, DirectRoute) and route.operation]
    schemas = _Schemas([route.operation for route in routes if route.operation])
    door: Door | None = app.state.door
    for route in routes:
        assert route.operation is not None  # noqa: S101 - for the type checker
        extra = _operation(route.operation, route.path_format, schemas)
        if door:
            extra["security"] = door.requirements(route.path_format)
        route.openapi_extra = extra
    schema = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schema["components"] = {"schemas": schemas.components}
    if door:
        schema["components"]["securitySchemes"] = door.schemes()
    return schema


def merge_into(
    app: FastAPI,
    parts: Mapping[str, FastAPI],
    own: str,
    beside: Mapping[str, FastAPI] | None = None,
) -> None:
    """Let an application's document have the paths of others.

    Args:
        app: made by ``service_application``; its operations are tagged ``own``.
        parts: by prefix, which tags their operations and stands before their names.
        own: tag.
        beside: others without a prefix, by tag.
    """

    def openapi() -> Schema:
        if app.openapi_schema is None:
            documents = [("", "", document(app))]
            documents += [
                (at, at.strip("/").replace("/", "_"), part.openapi()) for at, part in parts.items()
            ]
            documents += [("", tag, part.openapi()) for tag, part in (beside or {}).items()]
            app.openapi_schema = _merged(documents, own)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _merged(documents: Sequence[tuple[str, str, Schema]], own: str) -> Schema:
    """Return one document out of several, each with its prefix and tag; the first has none.

    Raises:
        ValueError: one name has two meanings in their components.
    """
    merged: Schema = {**documents[0][2], "paths": {}, "components": {}}
    for prefix, tag, part in documents:
        for path, operations in part["paths"].items():
            merged["paths"][prefix + path] = {
                method: operation
                | {
                    "tags": [tag or own],
                    "operationId": "_".join(filter(None, (tag, operation["operationId"]))),
                }
                for method, operation in operations.items()
            }
        for kind, components in part["components"].items():
            _unite(merged["components"].setdefault(kind, {}), components)
    return merged


def _unite(target: Schema, more: Schema) -> None:
    for name, meaning in more.items():
        if target.setdefault(name, meaning) != meaning:
            raise ValueError(f"two components are called {name}")


class _Schemas:
    """The schemas of all models of an application.

    Attributes:
        components: by name.
    """

    def __init__(self, operations: list[Operation]) -> None:
        inputs: dict[int, tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = {}
        for mode, model in _models(operations):
            if id(model) not in inputs:
                inputs[id(model)] = (id(model), mode, TypeAdapter(model))
        schemas, shared = TypeAdapter.json_schemas(inputs.values(), ref_template=_TEMPLATE)
        self._by_model = {key: _plain(schema) for (key, _), schema in schemas.items()}
        self.components: Schema = {
            name: _plain(schema) for name, schema in sorted(shared.get("$defs", {}).items())
        }
        if twice := [name for name in self.components if "__" in name]:
            raise ValueError(f"two models have one name: {twice}")

    def of(self, model: Any) -> Schema:
        """Return a model's schema, mostly a reference to a component."""
        schema: Schema = self._by_model[id(model)]
        return schema


def _models(operations: list[Operation]) -> Iterator[tuple[JsonSchemaMode, Any]]:
    for operation in operations:
        for content in operation.answers.values():
            for model in content.values():
                yield "serialization", model
        for model in operation.parameters.values():
            yield "validation", model
        if operation.body:
            yield "validation", operation.body[1]


def _operation(operation: Operation, path: str, schemas: _Schemas) -> Schema:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [
        _parameter("path", name, schemas.of(operation.parameters[name])) for name in names
    ]
    if operation.query:
        parameters += _query(_plain(operation.query.model_json_schema()))
    extra: Schema = {"responses": _responses(operation, schemas)}
    if parameters:
        extra["parameters"] = parameters
    if operation.body:
        media, model = operation.body
        content = {media: {"schema": schemas.of(model)}}
        extra["requestBody"] = {"required": not operation.optional, "content": content}
    return extra


def _responses(operation: Operation, schemas: _Schemas) -> Schema:
    responses: Schema = {}
    for status, content in sorted(operation.answers.items()):
        described = {media: {"schema": schemas.of(model)} for media, model in content.items()}
        responses[str(status)] = {"description": operation.descriptions[status]}
        if described:
            responses[str(status)]["content"] = described
        if status in (429, 503):
            responses[str(status)]["headers"] = _RETRY
        if status < 400 and operation.headers:
            responses[str(status)]["headers"] = {
                name: {"description": words, "schema": {"type": "string"}}
                for name, words in operation.headers.items()
            }
    return responses


def _parameter(place: str, name: str, schema: Schema, *, required: bool = True) -> Schema:
    parameter = {"name": name, "in": place, "required": required, "schema": schema}
    if "description" in schema:
        schema = dict(schema)
        parameter |= {"description": schema.pop("description"), "schema": schema}
    return parameter


def _query(model: Schema) -> list[Schema]:
    """Return a model's fields as parameters; none can be null, as absence says that."""
    parameters = []
    for name, schema in model["properties"].items():
        options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        if options:
            rest = {**(options[0] if len(options) == 1 else {"anyOf": options}), **rest}
        if rest.get("default", "") is None:
            del rest["default"]
        required = name in model.get("required", ())
        parameters.append(_parameter("query", name, rest, required=required))
    return parameters


def _plain(schema: Any) -> Any:
    """Return a schema without the titles that repeat names."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _scheme(header: str) -> str:
    return header.title().replace("-", "")
