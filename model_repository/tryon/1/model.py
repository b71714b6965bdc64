"""Triton model `tryon`: a person and a garment in, progress and the dressed person out.

A thread takes one job at a time through the workflow's steps.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from functools import partial
from typing import Any

import model_io
import model_settings
import triton_python_backend_utils as pb_utils
from response_sender import ThreadSafeSender
from tryon_errors import InputError, PipelineError, QueueFullError, TryonError
from tryon_metrics import TryonMetrics
from tryon_progress import JobWatch
from tryon_request import parse_command, parse_options
from tryon_service import TryonService
from tryon_settings import read_settings
from tryon_steps import Inference
from tryon_workflow import JobContext

CODES = {"input": "INVALID_ARG", "pose": "INVALID_ARG", "garment": "INVALID_ARG"} | {
    "pipeline": "INTERNAL",
    "cancelled": "CANCELLED",
    "timeout": "UNAVAILABLE",
}


class TritonPythonModel(model_io.QueuedModel):
    """The one instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start to load the engine; `describe` tells when it is there."""
        logging.basicConfig(stream=sys.stderr, format="%(message)s")
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self._settings = read_settings(parameters, folder)
        self.messages = threading.Lock()
        self._metrics = TryonMetrics(args["model_name"], self.messages)
        self._service = TryonService(self._settings, self._metrics.show_load)

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue a job, or answer a command."""
        command = _content(request, "COMMAND")
        if command is None:
            self._queue(request, sender)
        elif parse_command(command) == "describe":
            report = model_io.strings(json.dumps(self._service.describe()))
            model_io.finish(sender, {"REPORT": report})

    def finalize(self) -> None:
        """End the running job, the thread and the engine."""
        self._service.stop()
        self._metrics.close()

    def _queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        watch = JobWatch(
            partial(_tell, sender),
            partial(self._is_cancelled, sender),
            model_io.deadline(request),
        )
        person, garment = (_content(request, name) for name in ("PERSON", "GARMENT"))
        if person is None or garment is None:
            raise InputError("a job needs PERSON and GARMENT")
        options = parse_options(_content(request, "OPTIONS") or b"{}", self._settings)
        context = JobContext(options, watch, person, garment)
        answer, refuse = partial(self._answer, sender), partial(self.refuse, sender)
        self._service.submit(context, answer, refuse)

    def _is_cancelled(self, sender: ThreadSafeSender) -> bool:
        return self._service.stopping() or sender.is_cancelled()

    def _answer(self, sender: ThreadSafeSender, context: JobContext) -> None:
        described = self._service.describe()
        report = {
            **{key: described[key] for key in ("engine", "model", "model_version")},
            "photorealistic": described["photorealistic"],
            "seed": context.options.seed,
            **context.report,
            "step_ms": context.step_ms,
        }
        if (inference := context.step_ms.get(Inference.name)) is not None:
            report["inference_time_ms"] = round(inference)
        outputs: dict[str, str | bytes] = {"IMAGE": context.image, "REPORT": json.dumps(report)}
        if context.comparison is not None:
            outputs["COMPARISON"] = context.comparison
        self._metrics.count("answered", context.step_ms)
        strings = {name: model_io.strings(content) for name, content in outputs.items()}
        if context.sample_images:
            strings["SAMPLES"] = model_io.strings(*context.sample_images)
        model_io.finish(sender, strings)

    def refuse(self, sender: ThreadSafeSender, error: Exception) -> None:
        """Count an error, and answer with it."""
        if isinstance(error, QueueFullError):
            outcome, code, message = "full", "UNAVAILABLE", "the model's queue is full"
        else:
            if not isinstance(error, TryonError):
                error = PipelineError(f"failed with {type(error).__name__}")
            outcome, code, message = error.code, CODES[error.code], str(error)
        self._metrics.count(outcome)
        model_io.fail(sender, message, code)


def _tell(sender: ThreadSafeSender, progress: dict[str, Any]) -> None:
    model_io.stream(sender, {"PROGRESS": model_io.strings(json.dumps(progress))})


def _content(request: pb_utils.InferenceRequest, name: str) -> bytes | None:
    element = model_io.single(request, name)
    return None if element is None else bytes(element)
