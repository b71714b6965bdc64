"""A conversation with pictures and clips, as the inputs MESSAGES and MEDIA say it; no vLLM."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vlm_request import MIN_SIDE, Limits, RefusedRequestError, check_clip

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 1000


@dataclass
class Conversation:
    """What the model is asked.

    Attributes:
        messages: As chat templates take them: role, and content that is a text or a list of parts
            of the types text, image and video.
        images: UINT8 [height, width, 3] each, RGB, in the order of the parts.
        videos: Frames UINT8 [n, height, width, 3] and their times in seconds, float32 [n].
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    images: list[NDArray[Any]] = field(default_factory=list)
    videos: list[tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=list)


def about_a_clip(frames: NDArray[Any], timestamps: NDArray[Any], prompt: str) -> Conversation:
    """Return the conversation of a question about a clip.

    Args:
        frames: UINT8 [n, height, width, 3], RGB.
        timestamps: Seconds, float32 [n].
        prompt: Text after the clip.
    """
    content = [{"type": "video"}, {"type": "text", "text": prompt}]
    return Conversation([{"role": "user", "content": content}], [], [(frames, timestamps)])


def read_conversation(text: bytes, pixels: NDArray[Any] | None, limits: Limits) -> Conversation:
    """Read MESSAGES, a JSON list of `role` and `content`, and MEDIA.

    `content` is a text or a list of `{"type": "text", "text": ...}`,
    `{"type": "image", "shape": [height, width]}` and
    `{"type": "video", "shape": [frames, height, width], "timestamps": [seconds, ...]}`.

    Args:
        text: UTF-8 bytes.
        pixels: UINT8 [n]: RGB of all media in the order of their parts, or None.
        limits: Limits of this model.

    Raises:
        RefusedRequestError: Not of this form, or beyond the limits.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedRequestError("messages_invalid", "MESSAGES is not JSON") from None
    if not isinstance(given, list) or not 0 < len(given) <= MAX_MESSAGES:
        raise RefusedRequestError("messages_invalid", f"1 to {MAX_MESSAGES} messages are needed")
    media = _Media(np.zeros(0, np.uint8) if pixels is None else pixels, limits)
    for message in given:
        fits = isinstance(message, dict) and message.get("role") in ROLES
        if not fits:
            raise RefusedRequestError("messages_invalid", f"a role is one of {', '.join(ROLES)}")
        content = message.get("content")
        if not isinstance(content, str):
            if not isinstance(content, list) or not content:
                raise RefusedRequestError("messages_invalid", "content is a text or parts")
            content = [media.part(part) for part in content]
        media.read.messages.append({"role": message["role"], "content": content})
    return media.finished()


class _Media:
    """Gives the parts their pixels, in order."""

    def __init__(self, pixels: NDArray[Any], limits: Limits) -> None:
        self._pixels = pixels
        self._limits = limits
        self._at = 0
        self.read = Conversation()

    def part(self, part: Any) -> dict[str, Any]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            return {"type": "text", "text": part["text"]}
        if kind == "image":
            self._image(part)
        elif kind == "video":
            self._video(part)
        else:
            raise RefusedRequestError("messages_invalid", "a part is text, image or video")
        return {"type": kind}

    def finished(self) -> Conversation:
        if self._at != self._pixels.size:
            raise RefusedRequestError("media_invalid", "MEDIA is longer than its parts")
        for kind, found, most in (
            ("images", self.read.images, self._limits.images),
            ("videos", self.read.videos, self._limits.videos),
        ):
            if len(found) > most:
                raise RefusedRequestError("media_too_many", f"{len(found)} {kind}, {most} allowed")
        return self.read

    def _image(self, part: Mapping[str, Any]) -> None:
        height, width = _sizes(part, 2)
        side = self._limits.side
        if max(height, width) > side or min(height, width) < MIN_SIDE:
            raise RefusedRequestError("media_invalid", f"sides must be {MIN_SIDE} to {side} pixels")
        self.read.images.append(self._take((height, width, 3)))

    def _video(self, part: Mapping[str, Any]) -> None:
        frames, height, width = _sizes(part, 3)
        times = part.get("timestamps")
        numbers = isinstance(times, list) and all(type(time) in (int, float) for time in times)
        if not isinstance(times, list) or not numbers:
            raise RefusedRequestError("timestamps_invalid", "timestamps is a list of seconds")
        check_clip((frames, height, width, 3), times, self._limits)
        taken = self._take((frames, height, width, 3))
        self.read.videos.append((taken, np.array(times, np.float32)))

    def _take(self, shape: Sequence[int]) -> NDArray[Any]:
        size = math.prod(shape)
        taken = self._pixels[self._at : self._at + size]
        if taken.size != size:
            raise RefusedRequestError("media_invalid", "MEDIA is shorter than its parts")
        self._at += size
        return taken.reshape(shape)


def _sizes(part: Mapping[str, Any], count: int) -> list[int]:
    shape = part.get("shape")
    fits = isinstance(shape, list) and len(shape) == count and all(type(n) is int for n in shape)
    if not isinstance(shape, list) or not fits or min(shape) < 1:
        raise RefusedRequestError("media_invalid", f"shape is {count} numbers of at least 1")
    return shape
