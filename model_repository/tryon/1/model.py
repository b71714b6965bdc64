"""Triton model `tryon`: a person and a garment in, progress and the dressed person out.

`execute` only queues; a thread takes one job at a time through the workflow's steps.
"""

import json
import locale
import logging
import sys
import threading
import time
from functools import partial
from pathlib import Path

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402
from response_sender import ThreadSafeSender  # noqa: E402
from tryon_errors import InputError, PipelineError, QueueFullError, TryonError  # noqa: E402
from tryon_metrics import TryonMetrics  # noqa: E402
from tryon_progress import JobWatch  # noqa: E402
from tryon_request import parse_command, parse_options  # noqa: E402
from tryon_service import TryonService  # noqa: E402
from tryon_settings import read_settings  # noqa: E402
from tryon_workflow import JobContext  # noqa: E402

CODES = {"input": "INVALID_ARG", "pose": "INVALID_ARG", "garment": "INVALID_ARG"} | {
    "pipeline": "INTERNAL",
    "cancelled": "CANCELLED",
    "timeout": "UNAVAILABLE",
}


class TritonPythonModel:
    """The one instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Start to load the engine; `describe` tells when it is there."""
        logging.basicConfig(stream=sys.stderr, format="%(message)s")
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
        self._settings = read_settings(parameters, folder)
        self._messages = threading.Lock()
        self._metrics = TryonMetrics(args["model_name"], self._messages)
        self._service = TryonService(self._settings, self._metrics.show_load)

    def execute(self, requests):
        """Queues the jobs and answers the commands."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender(), self._messages)
            try:
                command = _bytes(request, "COMMAND")
                if command is None:
                    self._queue(request, sender)
                elif parse_command(command) == "describe":
                    _finish(sender, [_tensor("REPORT", json.dumps(self._service.describe()))])
            except Exception as error:  # raised, it would leak the batch's shared memory
                self._refuse(sender, error)

    def finalize(self):
        """End the running job, the thread and the engine."""
        self._service.stop()
        self._metrics.close()

    def _queue(self, request, sender):
        deadline = _deadline(request)
        watch = JobWatch(partial(_tell, sender), partial(self._is_cancelled, sender), deadline)
        files = [_bytes(request, name) for name in ("PERSON", "GARMENT")]
        if None in files:
            raise InputError("a job needs PERSON and GARMENT")
        options = parse_options(_bytes(request, "OPTIONS") or b"{}", self._settings)
        context = JobContext(options, watch, *files)
        answer, refuse = partial(self._answer, sender), partial(self._refuse, sender)
        self._service.submit(context, answer, refuse)

    def _is_cancelled(self, sender):
        return self._service.stopping() or sender.is_cancelled()

    def _answer(self, sender, context):
        described = self._service.describe()
        report = {
            **{key: described[key] for key in ("engine", "model", "model_version")},
            "photorealistic": described["photorealistic"],
            "seed": context.options.seed,
            **context.report,
            "step_ms": context.step_ms,
        }
        tensors = [_tensor("IMAGE", context.image), _tensor("REPORT", json.dumps(report))]
        if context.comparison is not None:
            tensors.append(_tensor("COMPARISON", context.comparison))
        self._metrics.count("answered", context.step_ms)
        _finish(sender, tensors)

    def _refuse(self, sender, error):
        if isinstance(error, QueueFullError):
            outcome, code, message = "full", "UNAVAILABLE", "the model's queue is full"
        else:
            if not isinstance(error, TryonError):
                error = PipelineError(f"failed with {type(error).__name__}")
            outcome, code, message = error.code, CODES[error.code], str(error)
        self._metrics.count(outcome)
        failure = pb_utils.TritonError(message, getattr(pb_utils.TritonError, code))
        _send(sender, pb_utils.InferenceResponse(error=failure), final=True)


def _tell(sender, progress):
    _send(sender, pb_utils.InferenceResponse([_tensor("PROGRESS", json.dumps(progress))]))


def _finish(sender, tensors):
    _send(sender, pb_utils.InferenceResponse(tensors), final=True)


def _send(sender, response, final=False):
    flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if final else 0
    sender.send(response, flags=flags)


def _tensor(name, content):
    content = content.encode() if isinstance(content, str) else content
    return pb_utils.Tensor(name, np.array([content], dtype=np.object_))


def _bytes(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    array = None if tensor is None else tensor.as_numpy()
    return None if array is None or array.size != 1 else bytes(array.reshape(-1)[0])


def _deadline(request):
    """Time of `time.monotonic` when the request's timeout (microseconds, 0 is none) is over."""
    microseconds = request.timeout()
    return time.monotonic() + microseconds / 1e6 if microseconds else None
