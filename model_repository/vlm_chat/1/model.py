"""Triton model `vlm_chat`: messages with files of pictures and clips in, an answer in pieces out.

Decodes the files in a bounded pool of threads and asks the model `vlm` through BLS, which gives
one answer; where it is wanted in pieces, a second thread follows what has been generated.
"""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from bounded_pool import BoundedPool
from cancel_watch import CancelWatch
from chat_request import ChatError, ChatRequest, MediaLimits, decoded, read_request
from clips.errors import ClipLimits
from clips.sampling import Sampling
from following import follow
from numpy.typing import NDArray
from response_sender import ThreadSafeSender

cv2.setNumThreads(1)  # files are decoded side by side already

BUSY = "the engine's queue is full"
DEADLINE = "the deadline has passed"  # the VLM's words, and the gateway's sign of a 504
_REFUSED = re.compile(
    r"\b((?:messages|media|options|request|frames|timestamps|prompt)(?:_[a-z]+)+): .*"
)


class VlmError(RuntimeError):
    """The VLM cannot be reached, or failed; the text is `code: reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"vlm_unavailable: {reason}")


class NotNowError(RuntimeError):
    """The VLM has too much to do, or had too little time."""


class CancelledError(Exception):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class TritonPythonModel(model_io.QueuedModel):
    """One instance; see the parameters in config.pbtxt."""

    codes = {
        **dict.fromkeys((ChatError, VlmError), "INVALID_ARG"),
        NotNowError: "UNAVAILABLE",
        CancelledError: "CANCELLED",
    }

    def initialize(self, args: dict[str, str]) -> None:
        """Start the threads."""
        parameters = model_settings.parameters(args)
        number = {key: int(value) for key, value in parameters.items() if value.isdecimal()}
        self._vlm = parameters["vlm"]
        self._limits = MediaLimits(
            number["max_media"],
            number["max_image_pixels"],
            Sampling(ClipLimits.of(number), frames=number["frames"], side=number["side"]),
            number["max_frames"],
        )
        cores = len(os.sched_getaffinity(0))
        in_flight = number["vlm_in_flight"]
        self._decoding = BoundedPool(
            "media", number["jobs_in_flight"] or cores, number["max_waiting_bytes"]
        )
        self._asking = BoundedPool("vlm", in_flight, number["max_vlm_bytes"])
        self._answering = ThreadPoolExecutor(in_flight, "answer")
        self._watch = CancelWatch(self._cancel)
        self._info = json.dumps({"model": args["model_name"], "vlm": self._vlm})
        gc.freeze()  # imports stay: walking them again and again costs more than jobs

    def refuse(self, sender: ThreadSafeSender, error: Exception) -> None:
        """Answer with an error; of unknown ones only the type is told."""
        if not isinstance(error, tuple(self.codes)):
            error = RuntimeError(f"failed: {type(error).__name__}")
        super().refuse(sender, error)

    def finalize(self) -> None:
        """Lets the threads finish."""
        for pool in (self._decoding, self._asking, self._watch):
            pool.stop()
        self._answering.shutdown()

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue the conversation."""
        messages, options, files = (
            model_io.elements(request, name) for name in ("MESSAGES", "OPTIONS", "MEDIA")
        )
        asked = read_request(b"".join(messages), b"".join(options), self._limits)
        size = sum(map(len, files))
        pool = self._decoding if files else self._asking  # words wait for nobody's clips
        if not pool.submit(size, partial(self._decode, asked, files, sender)):
            model_io.fail(sender, "too many files are waiting", "UNAVAILABLE")

    def _decode(
        self, request: ChatRequest, files: Sequence[bytes], sender: ThreadSafeSender
    ) -> None:
        try:
            if sender.is_cancelled():
                raise CancelledError
            messages, media = decoded(request, files, self._limits)
            if request.describe:
                model_io.finish(sender, {"MODEL_INFO": model_io.strings(self._info)})
                return
            inputs = {"MESSAGES": model_io.strings(json.dumps(messages))}
            if media:
                inputs["MEDIA"] = np.concatenate([pixels.reshape(-1) for pixels in media])
            size = sum(pixels.nbytes for pixels in media)
            ask = partial(self._ask, inputs, request, sender)
            if not self._asking.submit(size, ask):
                model_io.fail(sender, "too many conversations are waiting", "UNAVAILABLE")
        except Exception as error:
            self.refuse(sender, error)

    def _ask(
        self, inputs: Mapping[str, NDArray[Any]], request: ChatRequest, sender: ThreadSafeSender
    ) -> None:
        try:
            with self._watch.watched(sender.is_cancelled) as job:
                options = {**request.generation, "job": job, "stream": request.stream}
                if request.stream:
                    answer = self._answering.submit(self._call, inputs, options)
                    send = partial(_send_piece, sender)
                    thought, written = follow(job, answer, self._news, send)
                    reasoning, text, reason, usage = answer.result()
                    reasoning, text = reasoning[thought:], text[written:]
                else:
                    reasoning, text, reason, usage = self._call(inputs, options)
            outputs = {
                "REASONING": reasoning, "TEXT": text, "FINISH_REASON": reason, "USAGE": usage,
            }  # fmt: skip
            model_io.finish(sender, _encoded(outputs))
        except Exception as error:
            self.refuse(sender, error)

    def _news(self, options: Mapping[str, Any]) -> tuple[str, str, str]:
        reasoning, text, progress = self._vlm_says(options, {}, "REASONING", "TEXT", "PROGRESS")
        return reasoning, text, progress

    def _call(
        self, inputs: Mapping[str, NDArray[Any]], options: Mapping[str, Any]
    ) -> tuple[str, str, str, str]:
        try:
            reasoning, text, reason, usage = self._vlm_says(
                options, inputs, "REASONING", "TEXT", "FINISH_REASON", "USAGE"
            )
        except RuntimeError as error:
            raise _understood(str(error)) from error
        return reasoning, text, reason, usage

    def _vlm_says(
        self, options: Mapping[str, Any], inputs: Mapping[str, NDArray[Any]], *outputs: str
    ) -> list[str]:
        given = {**inputs, "OPTIONS": model_io.strings(json.dumps(options))}
        return [
            array.reshape(-1)[0].decode() for array in model_io.call(self._vlm, given, *outputs)
        ]

    def _cancel(self, job: str) -> None:
        try:
            self._vlm_says({"cancel": job}, {}, "FINISH_REASON")
        except Exception as error:
            pb_utils.Logger.log_warn(f"{self._vlm} was not told of a cancellation: {error}")


def _send_piece(sender: ThreadSafeSender, reasoning: str, text: str) -> None:
    model_io.stream(sender, _encoded({"REASONING": reasoning, "TEXT": text}))


def _encoded(outputs: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    return {name: model_io.strings(text) for name, text in outputs.items()}


def _understood(message: str) -> Exception:
    """Return what an error of the VLM's means for the request."""
    if refusal := _REFUSED.search(message):
        return ChatError(refusal.group())
    if BUSY in message or DEADLINE in message:
        return NotNowError(DEADLINE if DEADLINE in message else BUSY)
    return VlmError(message)
