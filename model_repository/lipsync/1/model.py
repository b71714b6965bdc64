"""Triton model `lipsync`: frames and audio features of any tenant in, mouths out.

Frames of all requests are computed in turns by worker threads, and each answer is sent when its
last frame is done; tenants are loaded and unloaded beside that.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import threading
import time
from functools import partial
from typing import Any

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from engines.devices import make_control, make_engines
from frames.mouth_work import MouthArrays, MouthWork
from frames.scheduler import FrameQueue, Job
from frames.workers import FrameWorkers
from lipsync_errors import (
    CancelledError,
    DeadlineError,
    QueueFullError,
    RefusedError,
    TenantMemoryError,
    TenantNotLoadedError,
)
from lipsync_metrics import LipsyncMetrics
from lipsync_request import (
    FRAMES,
    MOUTHS,
    Command,
    check_audio,
    check_due,
    check_frames,
    check_tenant,
    mouth_output,
    parse_command,
)
from lipsync_settings import read_settings
from response_sender import ThreadSafeSender
from tenants.import_process import ImportProcesses
from tenants.table import TenantTable


class TritonPythonModel(model_io.QueuedModel):
    """The one instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Prepare the engine; no tenant is resident yet."""
        _allow_many_files()
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self._settings = settings = read_settings(parameters, folder)
        self._model = args["model_name"]
        self._engines = make_engines(settings)
        engine = self._engines[0]
        self._imports = ImportProcesses(max(2, (os.cpu_count() or 1) // 2))
        self._table = TenantTable(lambda weights: weights[0].free(weights[1]))
        self._arrays = MouthArrays()
        self.messages = threading.Lock()
        self._metrics = LipsyncMetrics(self._model, self.messages, self._table.size)
        self._control = make_control(
            settings, self._engines, self._table, self._imports, self._metrics.count_load
        )
        self._workers = FrameWorkers(
            FrameQueue(settings.queue_size),
            engine.workers,
            engine.most_frames,
            self._metrics.show_load,
        )
        gc.freeze()  # the imports stay: walking them again and again costs more than frames

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue the frames of a request, or obey its command."""
        command = model_io.single(request, "COMMAND")
        if command is not None:
            self._obey(parse_command(command), sender)
        else:
            self._queue(request, sender)

    def refuse(self, sender: ThreadSafeSender, error: BaseException) -> None:
        """Count an error, and answer with it."""
        self._metrics.count(_FAILURES.get(type(error), _UNKNOWN)[0])
        _send_error(sender, error)

    def finalize(self) -> None:
        """Finishes what runs and ends the threads and processes."""
        self._workers.stop()
        self._control.close()
        self._imports.close()
        for engine in self._engines:
            engine.close()
        self._metrics.close()

    def _queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        arrays = {name: model_io.optional_array(request, name) for name in FRAMES}
        sent = {name: array for name, array in arrays.items() if array is not None}
        frames = check_frames(sent, self._settings.frame_limit)
        audio = check_audio(model_io.optional_array(request, "AUDIO"), len(frames))
        output = mouth_output(request.requested_output_names())
        tenant = check_tenant(model_io.single(request, "TENANT"))
        due, spacing = check_due(model_io.optional_array(request, "DUE"))
        resident = self._table.acquire(tenant)
        work = MouthWork(
            resident,
            self._table,
            self._arrays,
            frames,
            audio,
            MOUTHS[output],
            partial(self._answer, sender, output),
            partial(self.refuse, sender),
            sender.is_cancelled,
            deadline=model_io.deadline(request),
        )
        job = Job(tenant, len(frames), work, time.monotonic() + due, spacing)
        if not self._workers.submit(job):
            work.release()
            raise QueueFullError

    def _obey(self, command: Command, sender: ThreadSafeSender) -> None:
        report = partial(_report, sender)
        if command.op == "stats":
            report(self._stats())
        else:
            refuse = partial(_send_error, sender)
            self._control.submit(command, report, refuse)

    def _stats(self) -> dict[str, Any]:
        engine = self._engines[0]
        return {
            "device": engine.device(),
            "tenants": self._control.stats(),
            "engine": engine.name,
            "frames_per_second": self._workers.frames_per_second,
            "workers": engine.workers,
            "model": self._model,
        }

    def _answer(self, sender: ThreadSafeSender, output: str, work: MouthWork) -> None:
        mouths = work.mouths
        if mouths is None:
            raise RuntimeError("no frame was computed")
        timing = np.array([work.queue_ms, work.compute_ms], np.float32)
        self._metrics.count("answered", len(mouths), work.compute_ms / 1e3)
        model_io.finish(sender, {output: mouths, "TIMING": timing})


_FAILURES: dict[type[BaseException], tuple[str, str, str | None]] = {
    # How it is counted, Triton's error code, what the client is told (None: the error's words).
    RefusedError: ("refused", "INVALID_ARG", None),
    TenantNotLoadedError: ("not_loaded", "INVALID_ARG", None),
    TenantMemoryError: ("failed", "UNAVAILABLE", None),
    QueueFullError: ("full", "UNAVAILABLE", "the model's queue is full"),
    CancelledError: ("cancelled", "CANCELLED", "cancelled"),
    DeadlineError: ("deadline", "UNAVAILABLE", "the deadline has passed"),
}
_UNKNOWN: tuple[str, str, str | None] = ("failed", "INTERNAL", None)


def _report(sender: ThreadSafeSender, report: dict[str, Any]) -> None:
    model_io.finish(sender, {"REPORT": model_io.strings(json.dumps(report))})


def _send_error(sender: ThreadSafeSender, error: BaseException) -> None:
    """Answers with an exception; of unknown ones only the type is told."""
    _, code, message = _FAILURES.get(type(error), _UNKNOWN)
    if code == "INTERNAL":
        message = f"computing failed: {type(error).__name__}"
    model_io.fail(sender, message or str(error), code)


def _allow_many_files() -> None:
    """Each mapped tenant keeps a descriptor; the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
