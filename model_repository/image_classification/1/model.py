"""Triton model `image_classification`: picture files in, the best classes out.

Decodes and prepares pictures of all requests side by side and sends them in batches to the network
named by the parameter `classifier`, through BLS. `execute` only queues: answers are sent by the
workers as soon as they are ready, so this model is free for the next request at once.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from class_ranking import best_classes, confidences
from engine_values import PICTURES, network_engine
from image_pipeline import ImagePipeline, Job, PictureOutcome
from image_preparation import FILTERS, Preparation
from numpy.typing import NDArray
from pictures.decoding import ImageError, Picture, open_picture
from response_sender import ThreadSafeSender
from tuning import Tuning


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
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

    def _start(self) -> None:
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

    def _describe(self) -> None:
        self._values = self._tuning.values
        calls = {"calls": {self._classifier: self._values.as_json()}}
        self._info = json.dumps({**self._facts, **calls}).encode()

    def _try(self, rows: int, _: int) -> None:
        """One call of the network, as the workers make it."""
        side = self._facts["input_size"]
        self._classify(np.zeros((rows, side, side, 3), np.uint8))

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
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

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._tuning.stop()
        self._pipeline.stop()

    def _queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        wanted = frozenset(request.requested_output_names())
        job = Job(
            model_io.elements(request, "IMAGE"),
            partial(self._answer, sender, wanted),
            partial(_refuse, sender),
            sender.is_cancelled,
        )
        if not self._pipeline.submit(job):
            model_io.fail(sender, "too many pictures are waiting", "UNAVAILABLE")

    def _read(self, data: bytes) -> Picture:
        return open_picture(data, self._max_pixels)

    def _prepare(self, picture: Picture) -> NDArray[Any]:
        return self._preparation(picture.decode())

    def _classify(self, images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        logits, sizes = model_io.call(self._classifier, {"image": images}, "logits", "batch_size")
        return logits, sizes

    def _answer(
        self, sender: ThreadSafeSender, wanted: Collection[str], outcomes: Sequence[PictureOutcome]
    ) -> None:
        scores = confidences(np.stack([outcome.logits for outcome in outcomes]))
        best = np.stack([best_classes(row) for row in scores])
        timing = [(outcome.preparation_ms, outcome.execution_ms) for outcome in outcomes]
        outputs = {
            "LABEL": self._labels[best],
            "CLASS_ID": best,
            "CONFIDENCE": np.take_along_axis(scores, best, axis=1),
            "BATCH_SIZE": np.array([[outcome.batch_size] for outcome in outcomes], np.int32),
            "TIMING_MS": np.array(timing, np.float32),
            "MODEL_INFO": np.full((len(outcomes), 1), self._info, dtype=np.object_),
        }
        model_io.finish(sender, outputs, wanted)


def _refuse(sender: ThreadSafeSender, error: Exception) -> None:
    code = "INVALID_ARG" if isinstance(error, ImageError) else "INTERNAL"
    model_io.fail(sender, str(error) or type(error).__name__, code)
