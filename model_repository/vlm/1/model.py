"""Triton model `vlm`: a conversation with pictures and clips in, text out, by vLLM.

Every request goes to the engine at once; vLLM batches them token by token, and each answer is sent
when it is complete. Each request has one answer, so that every client and
every other model can call this one; who wants to read along follows its job with more requests.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import model_io
import model_settings
import stub_interpreter
import triton_python_backend_utils as pb_utils
from conversation import Conversation, about_a_clip, read_conversation
from engine_guard import EngineGuard
from generation_watch import DeadlinePassedError, GenerationCancelledError, watched
from numpy.typing import NDArray
from progress import News, Progress
from response_sender import ThreadSafeSender
from video_language_engine import Answer, EngineDeadError, VideoLanguageEngine
from vlm_metrics import VlmMetrics
from vlm_request import Options, RefusedRequestError, check_clip, parse_options
from vlm_settings import read_settings

NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "reasoning_tokens": 0}


class TritonPythonModel(model_io.QueuedModel):
    """The one instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start the engine; loading the weights takes most of the time."""
        parameters = model_settings.parameters(args)
        settings = read_settings(parameters, Path(args["model_repository"]))
        self._limits = settings.limits
        self._max_requests = settings.max_requests
        self._calls: set[_Call] = set()
        self.messages = threading.Lock()
        self._metrics = VlmMetrics(args["model_name"], self.messages)
        self._guard = EngineGuard(stub_interpreter.prepare(offline=settings.local))
        self._engine = VideoLanguageEngine(settings.arguments, self._metrics.show_load)
        try:
            self._engine.start(settings.start_seconds)
        except RuntimeError:
            self._release()
            raise
        info = {
            "model": settings.name,
            "engine": self._engine.version,
            "device": self._engine.device,
            "source": settings.source,
            "limits": asdict(settings.limits) | {"context": self._engine.context},
        }
        self._info = json.dumps(info)

    def refuse(self, sender: ThreadSafeSender, error: Exception) -> None:
        """Count an error, and answer with it."""
        self._metrics.count(_fail(sender, error))

    def finalize(self) -> None:
        """Cancel what runs and end every process of the engine."""
        self._engine.stop()
        self._release()

    def _release(self) -> None:
        self._guard.close()
        self._metrics.close()

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Hand the request to the engine, or answer what it asks about another one."""
        options = parse_options(model_io.elements(request, "OPTIONS")[0], self._limits)
        extras = self._extras(request)
        if options.cancel is not None:
            for call in self._of_job(options.cancel):
                self._engine.set_event(call.cancelled)
            _answer(sender, Answer("", "cancelled", NO_TOKENS), extras)
            return
        if options.follow is not None:
            self._engine.submit(self._tell(sender, options.follow, options.after))
            return
        conversation = self._conversation(request)
        if len(self._calls) >= self._max_requests and not options.canary:
            raise _QueueFullError
        call = _Call(sender, options, extras, self._engine.event())
        on_piece = call.progress.add if options.stream else None
        work = self._engine.generate(conversation, options, on_piece)
        if options.canary and self._calls:
            work = self._sign_of_life(work)
        self._calls.add(call)
        self._engine.submit(self._serve(call, work))

    async def _sign_of_life(self, generation: Coroutine[Any, Any, Answer]) -> Answer:
        answer = await self._engine.alive(generation)
        return answer or Answer("", "alive", NO_TOKENS)

    def _conversation(self, request: pb_utils.InferenceRequest) -> Conversation:
        """Return what a request asks; copied, as Triton takes inputs back when execute returns."""
        messages = model_io.elements(request, "MESSAGES")
        if messages:
            pixels = model_io.optional_array(request, "MEDIA")
            copied = None if pixels is None else pixels.copy()
            return read_conversation(messages[0], copied, self._limits)
        frames, timestamps = (
            model_io.optional_array(request, name) for name in ("FRAMES", "TIMESTAMPS")
        )
        prompts = model_io.elements(request, "PROMPT")
        if frames is None or timestamps is None or not prompts:
            raise RefusedRequestError("input_invalid", "MESSAGES, or a clip with a PROMPT")
        check_clip(frames.shape, timestamps, self._limits)
        return about_a_clip(frames.copy(), timestamps.copy(), prompts[0].decode())

    def _of_job(self, job: str) -> list[_Call]:
        # The engine's thread removes some meanwhile.
        return [call for call in tuple(self._calls) if call.options.job == job]

    async def _tell(self, sender: ThreadSafeSender, job: str, after: int) -> None:
        """Answers a request that follows another one; in the engine's loop."""
        send: Callable[[], object]
        try:
            calls = self._of_job(job)
            news = await calls[0].progress.since(after) if calls else None
            send = partial(_tell, sender, news, after)
        except BaseException as error:  # asyncio's cancellation, too, must be answered
            send = partial(_fail, sender, error)
        send()

    async def _serve(self, call: _Call, work: Coroutine[Any, Any, Answer]) -> None:
        """Answers one request; in the engine's loop."""
        try:
            answer = await watched(
                work, call.cancelled, call.sender.is_cancelled, call.seconds_left()
            )
        except BaseException as error:  # asyncio's cancellation, too, must be answered
            outcome, code, message = _failure(error)
            self._metrics.count(outcome)
            send = partial(model_io.fail, call.sender, message, code)
        else:
            self._metrics.count("answered", answer.usage)
            send = partial(_answer, call.sender, answer, call.extras)
        self._calls.discard(call)
        call.progress.end()
        if not self._calls:
            self._metrics.show_load(0, 0)  # the engine is silent when it has nothing to do
        send()

    def _extras(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        if "MODEL_INFO" not in request.requested_output_names():
            return {}
        return {"MODEL_INFO": model_io.strings(self._info)}


@dataclass(frozen=True, eq=False)
class _Call:
    """One request on its way."""

    sender: ThreadSafeSender
    options: Options
    extras: Mapping[str, NDArray[Any]]
    cancelled: asyncio.Event
    arrived: float = field(default_factory=time.monotonic)
    progress: Progress = field(default_factory=Progress)

    def seconds_left(self) -> float:
        return self.arrived + self.options.deadline_seconds - time.monotonic()


class _QueueFullError(Exception):
    pass


_FAILURES: dict[type[BaseException], tuple[str, str, str | None]] = {
    # How it is counted, Triton's error code, what the client is told (None: the error's words).
    RefusedRequestError: ("refused", "INVALID_ARG", None),
    UnicodeDecodeError: ("refused", "INVALID_ARG", "prompt_invalid: not UTF-8"),
    _QueueFullError: ("refused", "UNAVAILABLE", "the engine's queue is full"),
    GenerationCancelledError: ("cancelled", "CANCELLED", "cancelled"),
    asyncio.CancelledError: ("cancelled", "CANCELLED", "model unloaded"),
    DeadlinePassedError: ("deadline", "UNAVAILABLE", "the deadline has passed"),
    # The gateway knows by these words that the model must be loaded again.
    EngineDeadError: ("dead", "UNAVAILABLE", "the engine is dead"),
}


def _failure(error: BaseException) -> tuple[str, str, str]:
    """How an exception is counted, Triton's code, and words; of unknown ones only the type."""
    unknown = ("failed", "INTERNAL", f"generation failed: {type(error).__name__}")
    outcome, code, message = _FAILURES.get(type(error), unknown)
    return outcome, code, message or str(error)


def _fail(sender: ThreadSafeSender, error: BaseException) -> str:
    """Answers with an exception; returns how it is counted."""
    outcome, code, message = _failure(error)
    model_io.fail(sender, message, code)
    return outcome


def _answer(sender: ThreadSafeSender, answer: Answer, extras: Mapping[str, NDArray[Any]]) -> None:
    outputs = {
        "TEXT": model_io.strings(answer.text),
        "FINISH_REASON": model_io.strings(answer.finish_reason),
        "USAGE": model_io.strings(json.dumps(answer.usage)),
        "REASONING": model_io.strings(answer.reasoning),
    }
    model_io.finish(sender, {**outputs, **extras})


def _tell(sender: ThreadSafeSender, news: News | None, after: int) -> None:
    """Answers what is new of a job; of one that is not there (any more), that nothing is."""
    known, news = news is not None, news or News("", "", after, ended=True)
    progress = {"known": known, "next": news.next, "ended": news.ended}
    outputs = {
        "TEXT": model_io.strings(news.text),
        "REASONING": model_io.strings(news.reasoning),
        "PROGRESS": model_io.strings(json.dumps(progress)),
    }
    model_io.finish(sender, outputs)
