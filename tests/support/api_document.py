"""Reads API documents."""

from __future__ import annotations

from typing import Any


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema refers to, itself where it refers to nothing."""
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        schema = document["components"]["schemas"][name]
    return schema


def body_schemas(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schemas of an operation's body by media type."""
    content = operation.get("requestBody", {}).get("content", {})
    return {media: resolved(document, one["schema"]) for media, one in content.items()}
