"""Triton model `vlm`: frames of a clip and a question in, text out, by vLLM.

`execute` hands every request to the engine at once and returns; vLLM batches them token by token,
and each answer is sent when it is complete.
"""

import asyncio
import json
import locale
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII

import numpy as np  # noqa: E402
import stub_interpreter  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402
from engine_guard import EngineGuard  # noqa: E402
from generation_watch import DeadlinePassedError, GenerationCancelledError, watched  # noqa: E402
from response_sender import ThreadSafeSender  # noqa: E402
from video_language_engine import Answer, EngineDeadError, VideoLanguageEngine  # noqa: E402
from vlm_metrics import VlmMetrics  # noqa: E402
from vlm_request import Options, RefusedRequestError, check_clip, parse_options  # noqa: E402
from vlm_settings import read_settings  # noqa: E402

NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "reasoning_tokens": 0}


class TritonPythonModel:
    """The one instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Start the engine; loading the weights takes most of the time."""
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        settings = read_settings(parameters, Path(args["model_repository"]))
        self._limits = settings.limits
        self._max_requests = settings.max_requests
        self._calls = set()
        self._messages = threading.Lock()
        self._metrics = VlmMetrics(args["model_name"], self._messages)
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
        }
        self._info = json.dumps(info)

    def execute(self, requests):
        """Queues the requests; their answers come from the engine's loop."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender(), self._messages)
            try:
                self._take(request, sender)
            except Exception as error:  # raised, it would leak the batch's shared memory
                outcome, response = _failure(error)
                self._metrics.count(outcome)
                _send(sender, response)

    def finalize(self):
        """Cancel what runs and end every process of the engine."""
        self._engine.stop()
        self._release()

    def _release(self):
        self._guard.close()
        self._metrics.close()

    def _take(self, request, sender):
        options = parse_options(_text(request, "OPTIONS"), self._limits)
        extras = self._extras(request)
        if options.cancel is not None:
            for call in tuple(self._calls):  # the engine's thread removes some meanwhile
                if call.options.job == options.cancel:
                    self._engine.set_event(call.cancelled)
            _send(sender, _response(Answer("", "cancelled", NO_TOKENS), extras))
            return
        frames = pb_utils.get_input_tensor_by_name(request, "FRAMES").as_numpy()
        timestamps = pb_utils.get_input_tensor_by_name(request, "TIMESTAMPS").as_numpy()
        check_clip(frames.shape, timestamps, self._limits)
        prompt = _text(request, "PROMPT").decode()
        if len(self._calls) >= self._max_requests:
            raise _QueueFullError
        # Triton takes the inputs back when execute returns.
        work = self._engine.generate(frames.copy(), timestamps.copy(), prompt, options)
        call = _Call(sender, options, extras, self._engine.event())
        self._calls.add(call)
        self._engine.submit(self._serve(call, work))

    async def _serve(self, call, work):
        """Answers one request; in the engine's loop."""
        try:
            answer = await watched(
                work, call.cancelled, call.sender.is_cancelled, call.seconds_left()
            )
        except BaseException as error:  # asyncio's cancellation, too, must be answered
            outcome, response = _failure(error)
            self._metrics.count(outcome)
        else:
            response = _response(answer, call.extras)
            self._metrics.count("answered", answer.usage)
        self._calls.discard(call)
        if not self._calls:
            self._metrics.show_load(0, 0)  # the engine is silent when it has nothing to do
        _send(call.sender, response)

    def _extras(self, request):
        if "MODEL_INFO" not in request.requested_output_names():
            return ()
        return (_tensor("MODEL_INFO", self._info),)


@dataclass(frozen=True, eq=False)
class _Call:
    """One request on its way."""

    sender: object
    options: Options
    extras: tuple
    cancelled: asyncio.Event
    arrived: float = field(default_factory=time.monotonic)

    def seconds_left(self):
        return self.arrived + self.options.deadline_seconds - time.monotonic()


class _QueueFullError(Exception):
    pass


_FAILURES = {
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


def _failure(error):
    """Outcome and response for an exception; of unknown ones only the type is told."""
    unknown = (
        "failed",
        "INTERNAL",
        f"generation failed: {type(error).__name__}",
    )
    outcome, code, message = _FAILURES.get(type(error), unknown)
    failure = pb_utils.TritonError(message or str(error), getattr(pb_utils.TritonError, code))
    return outcome, pb_utils.InferenceResponse(error=failure)


def _response(answer, extras):
    tensors = [
        _tensor("TEXT", answer.text),
        _tensor("FINISH_REASON", answer.finish_reason),
        _tensor("USAGE", json.dumps(answer.usage)),
    ]
    return pb_utils.InferenceResponse([*tensors, *extras])


def _send(sender, response):
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _tensor(name, text):
    return pb_utils.Tensor(name, np.array([text.encode()], dtype=np.object_))


def _text(request, name):
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)[0]
