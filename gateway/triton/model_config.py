"""Reads a model's configuration as the load API takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.text_format import Parse, ParseError
from tritonclient.grpc import model_config_pb2


def read_config(file: Path) -> dict[str, Any]:
    """Return a ``config.pbtxt`` as JSON-like values, fields named as in the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no model configuration.
    """
    try:
        message = Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except ParseError as error:
        raise ValueError(f"{file} is no model configuration: {error}") from None
    return dict(MessageToDict(message, preserving_proto_field_name=True))


def parameters(config: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of a configuration by key."""
    values = config.get("parameters", {})
    return {key: str(value.get("string_value", "")) for key, value in values.items()}
