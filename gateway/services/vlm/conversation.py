"""A request's messages and options as the Triton model `vlm_chat` takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import BadRequestError
from gateway.http.base64_field import decode_base64
from gateway.http.openai_errors import ParameterError
from gateway.services.vlm.schemas import ChatMessage, ChatRequest, ImagePart, TextPart, VideoPart
from gateway.settings.vlm import VlmSettings

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.I)
_SYSTEM = ("system", "developer")
_NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "tools": (None, []),
}
"""Fields that would change the answer, and the values that do not."""


@dataclass
class Conversation:
    """What is asked.

    Attributes:
        messages: with the numbers of files in the place of pictures and clips.
        files: as they were sent.
        labels: by what a client knows each file.
        options: of the generation.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def sent_characters(request: ChatRequest) -> int:
    """Return how many characters the pictures and clips of a request have."""
    return sum(
        len(_url(part))
        for message in request.messages
        if isinstance(message.content, list)
        for part in message.content
        if not isinstance(part, TextPart)
    )


def read_conversation(
    request: ChatRequest, settings: VlmSettings, limits: Mapping[str, int]
) -> Conversation:
    """Return what a request asks; decodes its files.

    Args:
        request: of the right shape.
        settings: limits on files.
        limits: of the model, as it tells them; empty while it has not.

    Raises:
        ParameterError: a value cannot be used, or is not offered.
        BodyTooLargeError: a file is over the limit.
    """
    conversation = Conversation(options=_options(request, settings, limits))
    for place, message in enumerate(request.messages):
        role = "system" if message.role in _SYSTEM else message.role
        content = _content(conversation, message, place, settings)
        conversation.messages.append({"role": role, "content": content})
    if len(conversation.files) > settings.max_media:
        most = settings.max_media
        raise ParameterError("messages", f"messages have more than {most} pictures and clips")
    return conversation


def _content(
    conversation: Conversation, message: ChatMessage, place: int, settings: VlmSettings
) -> str | list[dict[str, Any]]:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    parts: list[dict[str, Any]] = []
    for number, part in enumerate(message.content):
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
            continue
        where = f"messages.{place}.content.{number}.{part.type}.url"
        if message.role != "user":
            raise ParameterError(where, f"{where}: pictures and clips are in a user's messages")
        is_image = isinstance(part, ImagePart)
        limit = settings.max_image_bytes if is_image else settings.max_clip_bytes
        kind = "image" if is_image else "video"
        parts.append({"type": kind, "media": len(conversation.files)})
        conversation.files.append(_file(_url(part), where, limit))
        conversation.labels.append(where)
    return parts


def _url(part: ImagePart | VideoPart) -> str:
    return part.image_url.url if isinstance(part, ImagePart) else part.video_url.url


def _file(url: str, where: str, limit: int) -> bytes:
    if not _DATA_URI.match(url):
        words = "must be data:<media type>;base64,<the file>: nothing is fetched from elsewhere"
        raise ParameterError(where, f"{where} {words}")
    try:
        return decode_base64(url, where, limit)
    except BadRequestError as error:
        raise ParameterError(where, error.detail) from None


def _options(
    request: ChatRequest, settings: VlmSettings, limits: Mapping[str, int]
) -> dict[str, Any]:
    for name, harmless in _NOT_OFFERED.items():
        if getattr(request, name) not in harmless:
            raise ParameterError(name, f"{name} is not offered")
    names = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")
    options = {name: getattr(request, name) for name in names}
    budget = 0 if request.reasoning_effort == "none" else request.thinking_token_budget
    if budget is not None and budget > limits.get("thinking", budget):
        most = limits["thinking"]
        raise ParameterError("thinking_token_budget", f"thinking_token_budget is at most {most}")
    options |= {"thinking_budget": budget, "max_completion_tokens": _most(request, limits)}
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    options |= {"stop": stop or None, "stream": bool(request.stream), "frames": settings.frames}
    if (format_ := request.response_format) is not None:
        if format_.type == "json_object":
            options["json"] = True
        elif format_.type == "json_schema":
            if format_.json_schema is None:
                raise ParameterError("response_format", "response_format.json_schema is missing")
            options["schema"] = format_.json_schema.schema_
    return {name: value for name, value in options.items() if value is not None}


def _most(request: ChatRequest, limits: Mapping[str, int]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        asked: int | None = getattr(request, name)
        if asked is None:
            continue
        if limits:
            most = limits["tokens"] + limits["thinking"] + 1
            if asked > most:
                raise ParameterError(name, f"{name} is at most {most}")
        return asked
    return None
