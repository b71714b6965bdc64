"""The picture in an answer of OpenAI's images API."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from pictures.decoding import ImageError, open_picture
from PIL import Image
from tryon_errors import PipelineError

FORMATS = ("PNG", "JPEG", "WEBP")
HEAD_BYTES = 2**16
"""Of an answer, beside the picture: times, usage, a prompt that was rewritten."""


def most_bytes(size: tuple[int, int]) -> int:
    """Return the most that an answer with one picture of that size may have.

    RGBA that a PNG could not compress (a byte more for each row, and its chunks), in base64.
    """
    width, height = size
    return (4 * width + 1) * height * 11 // 10 * 4 // 3 + HEAD_BYTES


def read_picture(body: bytes, size: tuple[int, int]) -> Image.Image:
    """Return the picture, RGB.

    Args:
        body: `{"data": [{"b64_json": ...}]}`.
        size: Width and height that were asked for.

    Raises:
        PipelineError: It is none, several, no readable one, or of another size.
    """
    try:
        answered = json.loads(body)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise PipelineError("the server answered no JSON") from None
    data = answered.get("data") if isinstance(answered, dict) else None
    if not isinstance(data, list) or len(data) != 1:
        raise PipelineError("the server answered not one picture")
    picture = _decoded(_file(data[0]), size)
    if picture.size != size:
        raise PipelineError("the server answered a picture of another size")
    return picture


def first_model(body: bytes) -> str | None:
    """Return the name of the first model in a list of OpenAI's API; None where there is none."""
    try:
        name = json.loads(body)["data"][0]["id"]
    except (UnicodeDecodeError, ValueError, RecursionError, KeyError, IndexError, TypeError):
        return None
    return name if isinstance(name, str) and name.isprintable() and len(name) <= 256 else None


def _file(item: Any) -> bytes:
    encoded = item.get("b64_json") if isinstance(item, dict) else None
    if not isinstance(encoded, str):
        raise PipelineError("the server answered no picture in b64_json")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise PipelineError("the server answered a picture that is no base64") from None


def _decoded(file: bytes, size: tuple[int, int]) -> Image.Image:
    try:
        picture = open_picture(file, size[0] * size[1], FORMATS)
        return picture.decode(srgb=True)
    except ImageError as error:
        if error.code == "image_too_large":
            raise PipelineError("the server answered a picture of another size") from None
        raise PipelineError("the server answered no readable PNG, JPEG or WebP") from None
