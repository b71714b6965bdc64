"""Reads and writes config.pbtxt: protobuf's text format of Triton's `ModelConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.text_format import MessageToString, Parse, ParseError
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

__all__ = ["DataType", "ModelConfig", "load", "parameters", "parse", "read_config", "text_of"]


def parse(text: str, *, of_any_version: bool = False) -> ModelConfig:
    """Return the message that a text says.

    Args:
        text: Of a config.pbtxt.
        of_any_version: Pass over fields that this version of Triton's client does not know.

    Raises:
        ValueError: It is no model configuration.
    """
    try:
        message: ModelConfig = Parse(text, ModelConfig(), allow_unknown_field=of_any_version)
    except ParseError as error:
        raise ValueError(f"no model configuration: {error}") from None
    return message


def load(file: Path, *, of_any_version: bool = False) -> ModelConfig:
    """Return the message in a file; `of_any_version` as of `parse`.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no model configuration.
    """
    try:
        return parse(file.read_text(encoding="utf-8"), of_any_version=of_any_version)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def read_config(file: Path) -> dict[str, Any]:
    """Return a config.pbtxt as the load API takes it: JSON-like, fields named as in the file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no model configuration.
    """
    return dict(MessageToDict(load(file), preserving_proto_field_name=True))


def parameters(config: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of a configuration by key."""
    values = config.get("parameters", {})
    return {key: str(value.get("string_value", "")) for key, value in values.items()}


def text_of(config: ModelConfig) -> str:
    """Return the text of a generated config.pbtxt; a message has no comments."""
    return f"# Generated; the committed configuration says why.\n{MessageToString(config)}"
