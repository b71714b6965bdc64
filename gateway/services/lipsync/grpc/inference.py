"""The RPC InferBatch, in both dialects."""

from __future__ import annotations

import time
from typing import cast

import numpy as np

from gateway.errors import (
    BodyTooLargeError,
    BusyError,
    DeadlineError,
    GatewayError,
    UnavailableError,
)
from gateway.services.lipsync.audio.features import AudioError, LastingAudio
from gateway.services.lipsync.grpc.dialects import (
    Dialect,
    InferRequest,
    failure,
    parse_request,
    success,
)
from gateway.services.lipsync.grpc.endpoint import Call, Reply
from gateway.services.lipsync.grpc.intake import Intake
from gateway.services.lipsync.grpc.validation import FORMATS, answer_bytes, channels, problem_of
from gateway.services.lipsync.inference import Due, MouthInference
from gateway.services.lipsync.request import Data, Format, MouthRequest
from gateway.services.lipsync.tenants.catalogue import UnknownTenantError
from gateway.services.lipsync.tenants.device import TenantLoadError
from gateway.triton.status import RefusedInputError

INVALID = 400
_ENVELOPE_BYTES = 4096  # what an answer holds besides its frames, at most
# Conditions of the server and not of the request: statuses, which libraries and proxies act on.
_STATUSES = (BusyError, UnavailableError, DeadlineError, BodyTooLargeError)


class InferBatch:
    """Frames and audio of one tenant in, mouths out.

    Args:
        audio: makes features of `raw_audio`; None where no encoder is configured.
        message_bytes: largest message, for the answer.
    """

    def __init__(
        self,
        inference: MouthInference,
        audio: LastingAudio | None,
        intake: Intake,
        message_bytes: int,
    ) -> None:
        self._inference = inference
        self._audio = audio
        self._intake = intake
        self._message_bytes = message_bytes

    async def __call__(self, call: Call) -> Reply:
        """Answer one call; what is wrong with the request or its tenant is in the message.

        Raises:
            MalformedError: the message is no protobuf.
            GatewayError: overload, a deadline, Triton down: a status and no message.
        """
        async with self._intake.message(call) as message:
            request = parse_request(message)
            if problem := problem_of(request, encoder=self._audio is not None):
                return _failure(request.dialect, problem, INVALID)
            if answer_bytes(request) + _ENVELOPE_BYTES > self._message_bytes:
                raise BodyTooLargeError(
                    f"The answer would have {answer_bytes(request)} bytes, more than the limit of "
                    f"{self._message_bytes}: ask for fewer frames or a smaller output_format"
                )
            try:
                return await self._infer(request, call)
            except AudioError as error:
                return _failure(request.dialect, str(error), INVALID)
            except (UnknownTenantError, TenantLoadError) as error:
                return _failure(request.dialect, error.words, error.status)
            except RefusedInputError as error:
                words = f"Inference failed: the model refuses the request ({error.code})"
                return _failure(request.dialect, words, error.status)
            except _STATUSES:
                raise
            except GatewayError as error:
                return _failure(request.dialect, f"Inference failed: {error.detail}", error.status)

    async def _infer(self, request: InferRequest, call: Call) -> Reply:
        audio: Data = request.audio_features
        audio_rows = request.batch_size if request.audio_per_frame else 1
        audio_ms = 0.0
        if self._audio and len(request.raw_audio):
            begin = time.perf_counter()
            audio = np.ascontiguousarray(
                await self._audio.of_frames(request.raw_audio, request.batch_size, call.time_left())
            )
            audio_rows = request.batch_size
            audio_ms = (time.perf_counter() - begin) * 1000
        count, form = request.batch_size, _format(request.frame_format)
        frames = (request.visual_frames, form, count, channels(request))
        output = _format(request.output_format)
        mouths = MouthRequest.of(request.model_id, frames, (audio, audio_rows), output)
        deadline = call.deadline()
        due = None if deadline is None else Due(deadline)
        async with self._inference.running(mouths, call.time_left(), due) as result:
            message = success(
                request.dialect,
                result.frames(count),
                inference_ms=result.compute_ms,
                audio_ms=audio_ms,
                device=result.device,
                one_block=request.output_block,
            )
        return Reply(message)


def _format(number: int) -> Format:
    return cast(Format, FORMATS[number])


def _failure(dialect: Dialect, words: str, status: int) -> Reply:
    return Reply(failure(dialect, words), status, words)
