"""What chat does, without HTTP: a conversation to Triton, the pieces of an answer back."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gateway.context import Context, Service
from gateway.errors import BodyTooLargeError, GatewayError, InferenceError, UnavailableError
from gateway.health.guard import guarded
from gateway.health.state import ModelState
from gateway.health.vlm import vlm_canary
from gateway.http.openai_errors import ParameterError, UnknownModelError
from gateway.large_work import worked
from gateway.pictures import CANARY_IMAGE
from gateway.services.vlm.conversation import Conversation
from gateway.triton import Tensor
from gateway.triton.status import RETRY_AFTER, LostError, NeededModelError, RefusedInputError
from gateway.triton.tensors import Array, bytes_tensor

VLM_UNAVAILABLE = "vlm_unavailable"
_FILES: dict[str, tuple[type[GatewayError], str]] = {
    "image_empty": (ParameterError, "is empty"),
    "image_invalid": (
        ParameterError,
        "is not a valid image: JPEG, PNG, WebP, GIF, BMP and AVIF pictures are read",
    ),
    "image_truncated": (ParameterError, "is truncated or damaged"),
    "image_too_large": (BodyTooLargeError, "has too many pixels"),
    "clip_empty": (ParameterError, "is empty"),
    "clip_invalid": (
        ParameterError,
        "is not a valid MP4, QuickTime, 3GP or WebM video with H.264, HEVC, VP8, VP9 or AV1",
    ),
    "clip_truncated": (ParameterError, "is truncated before its first frame"),
    "clip_too_large": (BodyTooLargeError, "has too many pixels"),
    "clip_too_long": (BodyTooLargeError, "is too long"),
}
"""The codes of the model's decoders, and what the client reads of a file."""
_CANARY = [{"role": "user", "content": [{"type": "image", "media": 0}]}]


@dataclass(frozen=True)
class Piece:
    """What has been generated since the piece before.

    Attributes:
        reasoning: of the thinking.
        text: of the answer.
        finish_reason: ``stop`` or ``length`` in the last piece, else None.
        usage: tokens by kind, in the last piece.
    """

    reasoning: str
    text: str
    finish_reason: str | None
    usage: Mapping[str, int] | None


class VlmService(Service):
    """Chat by the model that ``vlm.vlm_model`` names, through ``vlm.triton_model``."""

    name = "vlm"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.vlm
        self.admission = context.admission(self.name, settings)
        self.model = ModelState("chat", settings.triton_model, ())
        self.vlm = context.shared_model("vlm", settings.vlm_model)
        self.models = [self.model, self.vlm]

    @property
    def names(self) -> list[str]:
        """Names by which the model is asked for: of its weights, once it told, and configured."""
        told = [self.vlm.name] if self.vlm.name else []
        return list(dict.fromkeys([*told, self.settings.vlm_model, *self.settings.aliases]))

    @property
    def limits(self) -> Mapping[str, int]:
        """What the model takes, as it tells; empty before its first canary."""
        return dict(self.vlm.info.get("limits") or {})

    def require(self, name: str) -> None:
        """Check that a name is the model's.

        Raises:
            UnknownModelError: it is not.
            UnavailableError: the model has not told its name yet.
        """
        if name in self.names:
            return
        if not self.vlm.name:
            raise UnavailableError(retry_after=RETRY_AFTER)
        known = ", ".join(sorted(self.names))
        raise UnknownModelError(f"Unknown model; available models: {known}")

    async def pieces(self, conversation: Conversation) -> AsyncGenerator[Piece, None]:
        """Yield an answer as it is generated; closing the generator ends the generation.

        Without the option ``stream`` there is one piece. The inference is asked again, where its
        process ends, as long as no piece has come.

        Raises:
            ParameterError: the model refuses what is asked.
            BodyTooLargeError: a picture or clip has too many pixels, a clip is too long.
            GatewayError: busy, down, deadline or failed inference.
        """
        begin = time.monotonic()
        deadline = begin + self.settings.deadline_seconds
        messages, options, files = conversation.messages, conversation.options, conversation.files
        inputs = await worked(sum(map(len, files)), _tensors, messages, options, files)
        monitor = self._context.monitor

        async def start(seconds: float) -> tuple[AsyncGenerator[Piece, None], Piece, float]:
            began = time.monotonic()
            stream = self._pieces(inputs, conversation.labels, seconds)
            async for first in stream:
                return stream, first, began
            raise InferenceError

        async with guarded(monitor, self.admission, self.model, deadline) as asking:
            monitor.expect(self.vlm)
            await monitor.back(self.vlm, deadline)
            stream, first, began = await asking(start)
            if options["stream"]:
                waited = self._context.metrics.first_token.labels(self.vlm.triton_model)
                waited.observe(time.monotonic() - begin)
            async with aclosing(stream):
                yield first
                try:
                    async for piece in stream:
                        yield piece
                except LostError as error:
                    monitor.failed(self.model, error, began)
                    raise
            self.vlm.succeeded()

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Decode a picture, or generate a token, and return the model's MODEL_INFO."""
        triton = self._context.triton
        if model is self.vlm:
            return await vlm_canary(triton, model.triton_model, timeout)
        inputs = _tensors(_CANARY, {"describe": True}, [CANARY_IMAGE])
        async with aclosing(triton.stream(model.triton_model, inputs, timeout=timeout)) as stream:
            told = [outputs["MODEL_INFO"] async for outputs in stream]
        if not told:
            raise InferenceError
        return dict(json.loads(told[-1].flat[0]))

    async def _pieces(
        self, inputs: Mapping[str, Tensor], labels: Sequence[str], seconds: float
    ) -> AsyncGenerator[Piece, None]:
        context, model = self._context, self.settings.triton_model
        stream = context.triton.stream(
            model, inputs, timeout=seconds, headers=context.tracing.headers()
        )
        async with aclosing(stream):
            try:
                async for outputs in stream:
                    yield _piece(outputs)
            except RefusedInputError as error:
                if error.code != VLM_UNAVAILABLE:
                    raise self._refusal(error, labels) from None
                context.monitor.failed(self.vlm, UnavailableError())
                raise NeededModelError(retry_after=RETRY_AFTER) from None

    def _refusal(self, error: RefusedInputError, labels: Sequence[str]) -> GatewayError:
        """Return what the client reads of a refusal."""
        if error.code in _FILES and error.index is not None and error.index < len(labels):
            kind, words = _FILES[error.code]
            label = labels[error.index]
            detail = f"{label} {words}"
            return ParameterError(label, detail) if kind is ParameterError else kind(detail)
        limits = self.limits
        words = {
            "prompt_too_long": f"messages have too many tokens; with the answer, "
            f"{limits.get('context', 0)} are the most",
            "media_too_many": f"messages have too many pictures or clips; at most "
            f"{limits.get('images', 0)} pictures and {limits.get('videos', 0)} clips",
            "request_invalid": "the model cannot follow this request: look at response_format",
        }.get(error.code, "the model refuses the values of this request")
        return ParameterError("messages", words)


def _tensors(
    messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any], files: Sequence[bytes]
) -> dict[str, Tensor]:
    texts = {"MESSAGES": json.dumps(messages), "OPTIONS": json.dumps(options)}
    tensors = {name: bytes_tensor([text.encode()], rows=False) for name, text in texts.items()}
    if files:
        tensors["MEDIA"] = bytes_tensor(files, rows=False)
    return tensors


def _piece(outputs: Mapping[str, Array]) -> Piece:
    text = {name: array.flat[0].decode() for name, array in outputs.items()}
    usage = json.loads(text["USAGE"]) if "USAGE" in text else None
    return Piece(text["REASONING"], text["TEXT"], text.get("FINISH_REASON"), usage)
