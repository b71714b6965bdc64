"""Triton model `image_classification`: picture files in, the best classes out.

Decodes and prepares pictures of all requests side by side and sends them in batches to the network
named by the parameter `classifier`, through BLS. `execute` only queues: answers are sent by the
workers as soon as they are ready, so this model is free for the next request at once.
"""

import gc
import json
import locale
import os
import threading
from functools import partial
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from class_ranking import best_classes, confidences
from engine_values import PICTURES, network_engine
from image_pipeline import ImagePipeline, Job
from image_preparation import FILTERS, Preparation
from pictures.decoding import ImageError, open_picture
from response_sender import ThreadSafeSender
from tuning import Tuning

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Read the artefacts and start the workers."""
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
        self._facts = metadata = json.loads((folder / "metadata.json").read_bytes())
        labels = (folder / metadata["labels"]).read_text(encoding="utf-8").splitlines()
        self._labels = np.array([label.encode() for label in labels], dtype=np.object_)
        self._classifier = parameters["classifier"]
        self._max_pixels = int(parameters["max_pixels"])
        self._preparation = Preparation(
            metadata["input_size"], metadata["resize_size"], FILTERS[metadata["interpolation"]]
        )
        self._tuning = Tuning(
            PICTURES,
            network_engine(parameters, self._classifier),
            folder.parents[1] / self._classifier,
            rows=parameters["batch_rows"],
            in_flight=parameters["batches_in_flight"],
        )
        self._decoders = int(parameters["decoders"]) or len(os.sched_getaffinity(0))
        self._max_waiting_bytes = int(parameters["max_waiting_bytes"])
        self._start()
        gc.freeze()  # imports stay: walking them again and again costs more than jobs

    def _start(self):
        values = self._tuning.values
        self._describe()
        pb_utils.Logger.log_info(
            f"{self._classifier} is called with {values.calls}: {values.source}"
        )
        self._pipeline = ImagePipeline(
            self._read,
            self._prepare,
            self._classify,
            decoders=self._decoders,
            batches=values.calls.in_flight,
            batch_rows=values.calls.rows,
            max_waiting_bytes=self._max_waiting_bytes,
        )

    def _describe(self):
        self._values = self._tuning.values
        told = {"calls": {self._classifier: self._values.as_json()}}
        self._info = json.dumps({**self._facts, **told}).encode()

    def _try(self, rows, _):
        """One call of the network, as the workers make it."""
        side = self._facts["input_size"]
        self._classify(np.zeros((rows, side, side, 3), np.uint8))

    def execute(self, requests):
        """Queues the requests; their answers come from the workers."""
        if self._tuning.renewed(self._try):
            old = self._pipeline
            self._start()
            threading.Thread(target=old.stop).start()  # once it has finished what it has
        if self._values is not self._tuning.values:  # they stayed, and there is a reason
            self._describe()
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            try:
                self._queue(request, sender)
            except Exception as error:  # raised, it would leak the batch's shared memory
                _refuse(sender, error)

    def finalize(self):
        """Lets the workers finish."""
        self._tuning.stop()
        self._pipeline.stop()

    def _queue(self, request, sender):
        images = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1)
        wanted = frozenset(request.requested_output_names())
        job = Job(
            list(images),
            partial(self._answer, sender, wanted),
            partial(_refuse, sender),
            sender.is_cancelled,
        )
        if not self._pipeline.submit(job):
            _send_error(sender, "too many pictures are waiting", pb_utils.TritonError.UNAVAILABLE)

    def _read(self, data):
        return open_picture(data, self._max_pixels)

    def _prepare(self, picture):
        return self._preparation(picture.decode())

    def _classify(self, images):
        response = pb_utils.InferenceRequest(
            model_name=self._classifier,
            requested_output_names=["logits", "batch_size"],
            inputs=[pb_utils.Tensor("image", images)],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()
        if response.has_error():
            raise RuntimeError(f"{self._classifier} failed: {response.error().message()}")
        logits, sizes = (
            pb_utils.get_output_tensor_by_name(response, name).as_numpy().copy()
            for name in ("logits", "batch_size")
        )
        return logits, sizes

    def _answer(self, sender, wanted, outcomes):
        scores = confidences(np.stack([outcome.logits for outcome in outcomes]))
        best = np.stack([best_classes(row) for row in scores])
        timing = [(outcome.preparation_ms, outcome.execution_ms) for outcome in outcomes]
        tensors = {
            "LABEL": self._labels[best],
            "CLASS_ID": best,
            "CONFIDENCE": np.take_along_axis(scores, best, axis=1),
            "BATCH_SIZE": np.array([[outcome.batch_size] for outcome in outcomes], np.int32),
            "TIMING_MS": np.array(timing, np.float32),
            "MODEL_INFO": np.full((len(outcomes), 1), self._info, dtype=np.object_),
        }
        kept = [pb_utils.Tensor(name, value) for name, value in tensors.items() if name in wanted]
        sender.send(
            pb_utils.InferenceResponse(kept), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        )


def _refuse(sender, error):
    bad_input = isinstance(error, ImageError)
    code = pb_utils.TritonError.INVALID_ARG if bad_input else pb_utils.TritonError.INTERNAL
    _send_error(sender, str(error) or type(error).__name__, code)


def _send_error(sender, message, code):
    error = pb_utils.TritonError(message, code)
    sender.send(
        pb_utils.InferenceResponse(error=error), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )
