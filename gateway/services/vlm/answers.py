"""Answers in OpenAI's words: a whole one, and the chunks of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import ClientGoneError, GatewayError
from gateway.http.disconnect import unless_gone
from gateway.http.openai_errors import openai_problem
from gateway.services.vlm.service import Piece

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Wording:
    """How one request's answer is told.

    Attributes:
        model: as the client calls it.
        reasoning: whether the thinking is told.
        usage: whether a stream ends with the tokens.
    """

    model: str
    reasoning: bool
    usage: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, piece: Piece) -> dict[str, Any]:
        """Return a whole answer."""
        message: dict[str, Any] = {"role": "assistant", "content": piece.text or None}
        if self.reasoning:
            message["reasoning"] = piece.reasoning or None
        choice = {
            "index": 0, "message": message, "logprobs": None,
            "finish_reason": piece.finish_reason,
        }  # fmt: skip
        return self._head("chat.completion", [choice]) | {"usage": usage_of(piece)}

    async def events(
        self, first: Piece, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncIterator[bytes]:
        """Yield the events of a stream; an error is told in one, as the status is out."""
        yield self._chunk({"role": "assistant", "content": ""})
        for event in self._told(first):
            yield event
        try:
            async for piece in pieces:
                for event in self._told(piece):
                    yield event
        except GatewayError as error:
            yield _event(openai_problem(error)[1])
        yield DONE

    def _told(self, piece: Piece) -> Iterator[bytes]:
        if piece.reasoning and self.reasoning:
            yield self._chunk({"reasoning": piece.reasoning})
        if piece.text:
            yield self._chunk({"content": piece.text})
        if piece.finish_reason is not None:
            yield self._chunk({}, piece.finish_reason)
            if self.usage:
                head = self._head("chat.completion.chunk", [])
                yield _event(head | {"usage": usage_of(piece)})

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        head = self._head("chat.completion.chunk", [choice])
        return _event(head | {"usage": None} if self.usage else head)

    def _head(self, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": self.id, "object": kind, "created": self.created, "model": self.model,
            "choices": choices,
        }  # fmt: skip


class EventStream(Response):
    """Server-sent events; what makes them is closed when they end or the client leaves.

    Args:
        events: what is sent.
        pieces: what they are made of.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], pieces: AsyncGenerator[Any, None]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            async with aclosing(self._pieces):
                await unless_gone(Request(scope, receive), self._send(send))
        except (ClientGoneError, OSError):
            scope["pentad.status"] = ClientGoneError.status  # nobody reads it; metrics and log do

    async def _send(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        async for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def usage_of(piece: Piece) -> dict[str, Any]:
    """Return the tokens in OpenAI's words."""
    usage = piece.usage or {}
    prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens", 0)},
    }


def _event(content: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
