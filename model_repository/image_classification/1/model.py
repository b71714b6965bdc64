"""Triton model `image_classification`: picture files in, the best classes out.

Decodes and prepares pictures of all requests side by side and sends them in batches to the network
named by the parameter `classifier`, through BLS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from class_ranking import best_classes, confidences
from engine_values import PICTURES, Calls, network_engine
from image_pipeline import ImagePipeline, Job, PictureOutcome
from image_preparation import FILTERS, Preparation
from numpy.typing import NDArray
from pictures.decoding import ImageError, open_picture
from response_sender import ThreadSafeSender
from tuned_model import TunedModel
from tuning import Tuning


class TritonPythonModel(TunedModel):
    """One instance; see the parameters in config.pbtxt."""

    codes = {ImageError: "INVALID_ARG"}

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self.facts = metadata = json.loads((folder / "metadata.json").read_bytes())
        labels = (folder / metadata["labels"]).read_text(encoding="utf-8").splitlines()
        self._labels = np.array([label.encode() for label in labels], dtype=np.object_)
        self._classifier = parameters["classifier"]
        self._max_pixels = int(parameters["max_pixels"])
        self._preparation = Preparation(
            metadata["input_size"], metadata["resize_size"], FILTERS[metadata["interpolation"]]
        )
        tuning = Tuning(
            PICTURES,
            network_engine(parameters, self._classifier),
            folder.parents[1] / self._classifier,
            rows=parameters["batch_rows"],
            in_flight=parameters["batches_in_flight"],
        )
        self._decoders = int(parameters["decoders"]) or len(os.sched_getaffinity(0))
        self._max_waiting_bytes = int(parameters["max_waiting_bytes"])
        self.tune((tuning, self._try))

    def start(self, calls: Sequence[Calls]) -> Callable[[], None]:
        """Start the threads that decode, and those that call the network."""
        (values,) = calls
        self._pipeline = ImagePipeline(
            partial(open_picture, max_pixels=self._max_pixels),
            lambda picture: self._preparation(picture.decode()),
            self._classify,
            decoders=self._decoders,
            batches=values.in_flight,
            batch_rows=values.rows,
            max_waiting_bytes=self._max_waiting_bytes,
        )
        return self._pipeline.stop

    def _try(self, rows: int, _: int) -> None:
        """One call of the network, as the workers make it."""
        side = self.facts["input_size"]
        self._classify(np.zeros((rows, side, side, 3), np.uint8))

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue the pictures."""
        wanted = frozenset(request.requested_output_names())
        job = Job(
            model_io.elements(request, "IMAGE"),
            partial(self._answer, sender, wanted),
            partial(self.refuse, sender),
            sender.is_cancelled,
        )
        if not self._pipeline.submit(job):
            model_io.fail(sender, "too many pictures are waiting", "UNAVAILABLE")

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
            "MODEL_INFO": np.full((len(outcomes), 1), self.info, dtype=np.object_),
        }
        model_io.finish(sender, outputs, wanted)
