"""Triton model `lipsync`: frames and audio features of any tenant in, mouths out.

`execute` only queues. Frames of all requests are computed in turns by worker threads, and each
answer is sent when its last frame is done; tenants are loaded and unloaded beside that.
"""

import gc
import json
import locale
import os
import resource
import threading
import time
from functools import partial
from pathlib import Path

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402
from engines.devices import make_control, make_engines  # noqa: E402
from frames.mouth_arrays import MouthArrays  # noqa: E402
from frames.mouth_work import MouthWork  # noqa: E402
from frames.scheduler import FrameQueue, Job  # noqa: E402
from frames.workers import FrameWorkers  # noqa: E402
from lipsync_errors import (  # noqa: E402
    CancelledError,
    DeadlineError,
    QueueFullError,
    RefusedError,
    TenantMemoryError,
    TenantNotLoadedError,
)
from lipsync_metrics import LipsyncMetrics  # noqa: E402
from lipsync_request import (  # noqa: E402
    FRAMES,
    MOUTHS,
    check_audio,
    check_due,
    check_frames,
    check_tenant,
    mouth_output,
    parse_command,
)
from lipsync_settings import read_settings  # noqa: E402
from response_sender import ThreadSafeSender  # noqa: E402
from tenants.import_process import ImportProcesses  # noqa: E402
from tenants.table import TenantTable  # noqa: E402


class TritonPythonModel:
    """The one instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Prepare the engine; no tenant is resident yet."""
        _allow_many_files()
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
        self._settings = settings = read_settings(parameters, folder)
        self._model = args["model_name"]
        self._engines = make_engines(settings)
        engine = self._engines[0]
        self._imports = ImportProcesses(max(2, (os.cpu_count() or 1) // 2))
        self._table = TenantTable(lambda weights: weights[0].free(weights[1]))
        self._arrays = MouthArrays()
        self._messages = threading.Lock()
        self._metrics = LipsyncMetrics(self._model, self._messages, self._table.size)
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

    def execute(self, requests):
        """Queues the requests; their answers come from the workers."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender(), self._messages)
            refuse = partial(self._refuse, sender)
            try:
                command = _first(request, "COMMAND")
                if command is not None:
                    self._obey(parse_command(command), sender)
                else:
                    self._queue(request, sender, refuse)
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(error)

    def finalize(self):
        """Finishes what runs and ends the threads and processes."""
        self._workers.stop()
        self._control.close()
        self._imports.close()
        for engine in self._engines:
            engine.close()
        self._metrics.close()

    def _queue(self, request, sender, refuse):
        given = {name: tensor for name in FRAMES if (tensor := _array(request, name)) is not None}
        frames = check_frames(given, self._settings.frame_limit)
        audio = check_audio(_array(request, "AUDIO"), len(frames))
        output = mouth_output(request.requested_output_names())
        tenant = check_tenant(_first(request, "TENANT"))
        due, spacing = check_due(_array(request, "DUE"))
        resident = self._table.acquire(tenant)
        work = MouthWork(
            resident,
            self._table,
            self._arrays,
            frames,
            audio,
            MOUTHS[output],
            partial(self._answer, sender, output),
            refuse,
            sender.is_cancelled,
            deadline=_deadline(request),
        )
        job = Job(tenant, len(frames), work, time.monotonic() + due, spacing)
        if not self._workers.submit(job):
            work.release()
            raise QueueFullError

    def _obey(self, command, sender):
        report = partial(self._report, sender)
        if command.op == "stats":
            report(self._stats())
        else:
            refuse = partial(_send_error, sender)
            self._control.submit(command, report, refuse)

    def _stats(self):
        engine = self._engines[0]
        return {
            "device": engine.device(),
            "tenants": self._control.stats(),
            "engine": engine.name,
            "frames_per_second": self._workers.frames_per_second,
            "model": self._model,
        }

    def _answer(self, sender, output, work):
        timing = np.array([work.queue_ms, work.compute_ms], np.float32)
        tensors = [pb_utils.Tensor(output, work.mouths), pb_utils.Tensor("TIMING", timing)]
        self._metrics.count("answered", len(work.mouths), work.compute_ms / 1e3)
        _send(sender, pb_utils.InferenceResponse(tensors))

    def _report(self, sender, report):
        text = np.array([json.dumps(report).encode()], dtype=np.object_)
        _send(sender, pb_utils.InferenceResponse([pb_utils.Tensor("REPORT", text)]))

    def _refuse(self, sender, error):
        self._metrics.count(_FAILURES.get(type(error), _UNKNOWN)[0])
        _send_error(sender, error)


_FAILURES = {
    # How it is counted, Triton's error code, what the client is told (None: the error's words).
    RefusedError: ("refused", "INVALID_ARG", None),
    TenantNotLoadedError: ("not_loaded", "INVALID_ARG", None),
    TenantMemoryError: ("failed", "UNAVAILABLE", None),
    QueueFullError: ("full", "UNAVAILABLE", "the model's queue is full"),
    CancelledError: ("cancelled", "CANCELLED", "cancelled"),
    DeadlineError: ("deadline", "UNAVAILABLE", "the deadline has passed"),
}
_UNKNOWN = ("failed", "INTERNAL", None)


def _send_error(sender, error):
    """Answers with an exception; of unknown ones only the type is told."""
    _, code, message = _FAILURES.get(type(error), _UNKNOWN)
    if code == "INTERNAL":
        message = f"computing failed: {type(error).__name__}"
    failure = pb_utils.TritonError(message or str(error), getattr(pb_utils.TritonError, code))
    _send(sender, pb_utils.InferenceResponse(error=failure))


def _send(sender, response):
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _array(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def _first(request, name):
    array = _array(request, name)
    return None if array is None or array.size != 1 else array.reshape(-1)[0]


def _deadline(request):
    """Time of `time.monotonic` when the request's timeout (microseconds, 0 is none) is over."""
    microseconds = request.timeout()
    return time.monotonic() + microseconds / 1e6 if microseconds else None


def _allow_many_files():
    """Each mapped tenant keeps a descriptor; the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
