"""What a request of the model `vlm_chat` says, checked, and what it becomes for `vlm`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from clips.errors import ClipError
from clips.sampling import Sampling, sample_clip
from numpy.typing import NDArray
from pictures.decoding import ImageError, decode

MULTIPLE = 32
"""Sides are multiples of it: two merged patches of 16 pixels in Qwen3-VL."""

_OWN = ("stream", "frames", "describe")
"""Options of this model; the others are for `vlm`, which checks them."""


class ChatError(ValueError):
    """A request that cannot be carried out; the text is `code: reason`."""


@dataclass(frozen=True)
class MediaLimits:
    """What is looked at of files.

    Attributes:
        files: Of one request.
        image_pixels: Width x height of a picture, read from its header.
        sampling: How clips are looked at; its side is that of pictures, too.
        frames: Most of a clip that a request may ask for.
    """

    files: int
    image_pixels: int
    sampling: Sampling
    frames: int


@dataclass(frozen=True)
class ChatRequest:
    """One request.

    Attributes:
        messages: `role` and `content`; content is a text or a list of parts: `{"type": "text",
            "text": ...}` or `{"type": "image" or "video", "media": number of the file}`.
        stream: Whether the answer comes in pieces.
        describe: Whether it asks for MODEL_INFO alone; its files are decoded all the same.
        frames: Most frames of a clip.
        generation: Options for `vlm`.
    """

    messages: list[dict[str, Any]]
    stream: bool
    describe: bool
    frames: int
    generation: dict[str, Any]


def read_request(messages: bytes, options: bytes, limits: MediaLimits) -> ChatRequest:
    """Read the inputs MESSAGES and OPTIONS.

    Raises:
        ChatError: They are not of the form above.
    """
    try:
        given, asked = json.loads(messages), json.loads(options or b"{}")
    except (ValueError, RecursionError):
        raise ChatError("messages_invalid: not JSON") from None
    if not isinstance(given, list) or not all(isinstance(message, dict) for message in given):
        raise ChatError("messages_invalid: not a list of objects")
    if not isinstance(asked, dict):
        raise ChatError("options_invalid: not a JSON object")
    frames = asked.get("frames") or limits.sampling.frames
    if type(frames) is not int or not 1 <= frames <= limits.frames:
        raise ChatError(f"options_invalid: frames is 1 to {limits.frames}")
    stream, describe = asked.get("stream") is True, asked.get("describe") is True
    generation = {key: value for key, value in asked.items() if key not in _OWN}
    return ChatRequest(given, stream, describe, frames, generation)


def decoded(
    request: ChatRequest, files: Sequence[bytes], limits: MediaLimits
) -> tuple[list[dict[str, Any]], list[NDArray[Any]]]:
    """Decode the files that the messages name.

    Args:
        request: Whose messages name them.
        files: Pictures and clips.
        limits: On them.

    Returns:
        The messages as `vlm` takes them, and the pixels of their media, UINT8, in its order.

    Raises:
        ChatError: A file cannot be used, is not there, or is not named once.
    """
    if len(files) > limits.files:
        raise ChatError(f"media_too_many: {len(files)} files, {limits.files} allowed")
    pixels: list[NDArray[Any]] = []
    named: list[Any] = []

    def part(given: Any) -> Any:
        if not isinstance(given, dict) or given.get("type") not in ("image", "video"):
            return given
        number = given.get("media")
        if type(number) is not int or not 0 <= number < len(files):
            raise ChatError("messages_invalid: a part names no file")
        named.append(number)
        try:
            if given["type"] == "image":
                shown, told = _image(files[number], limits)
            else:
                sampling = replace(limits.sampling, frames=request.frames)
                shown, told = _video(files[number], sampling)
        except (ImageError, ClipError) as error:
            raise ChatError(f"{error.code}: index={number}: cannot be used") from error
        pixels.append(shown)
        return {"type": given["type"], **told}

    messages = [
        {**message, "content": [part(item) for item in message["content"]]}
        if isinstance(message.get("content"), list)
        else message
        for message in request.messages
    ]
    if sorted(named) != list(range(len(files))):
        raise ChatError("messages_invalid: each file is named once")
    return messages, pixels


def _image(file: bytes, limits: MediaLimits) -> tuple[NDArray[Any], dict[str, Any]]:
    image = decode(file, limits.image_pixels, srgb=True)
    side = limits.sampling.side
    scale = min(1.0, side / max(image.size))
    width, height = (_rounded(scale * length, side) for length in image.size)
    shown = cv2.resize(np.asarray(image), (width, height), interpolation=cv2.INTER_AREA)
    return shown, {"shape": [height, width]}


def _video(file: bytes, sampling: Sampling) -> tuple[NDArray[Any], dict[str, Any]]:
    clip = sample_clip(file, sampling)
    height, width = (_rounded(length, sampling.side) for length in clip.frames.shape[1:3])
    shown = np.stack(
        [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in clip.frames]
    )
    told: Mapping[str, Any] = {
        "shape": [len(shown), height, width],
        "timestamps": [float(time) for time in clip.timestamps],
    }
    return shown, dict(told)


def _rounded(length: float, most: int) -> int:
    return min(max(MULTIPLE, round(length / MULTIPLE) * MULTIPLE), most)
