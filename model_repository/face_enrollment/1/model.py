"""Triton model `face_enrollment`: pictures of one person in, the vector of the face out.

Decodes and searches the pictures side by side (detector), aligns and varies the faces, and embeds
the crops of all requests in shared batches (embedder); both networks through BLS. `execute` only
queues: answers are sent by the workers as soon as they are ready.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import model_io
import model_settings
import triton_python_backend_utils as pb_utils
from crop_batches import CropBatches
from embedder_thresholds import thresholds
from engine_values import CROPS, calls, network_engine, picture_step
from enrollment.jobs import CancelledError, Enroller, Job
from enrollment.options import Wishes, chosen
from enrollment.refusals import RefusedError, refuse_pictures
from enrollment.reports import reports, without_odd_ones
from face_detection import Detector
from faces.quality import Mode
from faces.search import Found, SearchOptions, search
from faces.vector import pooled
from network_facts import network_facts
from numpy.typing import NDArray
from pictures.decoding import is_large
from response_sender import ThreadSafeSender

cv2.setNumThreads(1)  # pictures run side by side already


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the networks' declarations and start the workers."""
        parameters = model_settings.parameters(args)
        repository = Path(args["model_repository"]).parent
        self._networks = parameters["detector"], parameters["embedder"]
        folders = [repository / name / "1" for name in self._networks]
        detector, embedder = (network_engine(parameters, name) for name in self._networks)
        self._detector = Detector.read(folders[0], step=picture_step(detector))
        self._info = network_facts(*folders)
        options = SearchOptions(
            detection_side=int(parameters["detection_side"]),
            rule=parameters["face"],
            min_face=int(parameters["min_face"]),
            varied=parameters["variants"] == "true",
            max_pixels=int(parameters["max_pixels"]),
            quality=cast("Mode", parameters["quality"]),
            extra_views=int(parameters["extra_views"]),
        )
        threshold = thresholds(json.loads(self._info)["model"]).consistency
        self._wishes = Wishes(options, parameters["strict"] == "true", threshold)
        batches = calls(
            CROPS,
            embedder,
            rows=parameters["batch_rows"],
            in_flight=parameters["batches_in_flight"],
        )
        pb_utils.Logger.log_info(f"{self._networks[1]} is called with {batches}")
        self._enroller = Enroller(
            CropBatches(self._embed, batches=batches.in_flight, batch_rows=batches.rows),
            searchers=int(parameters["searchers"]) or len(os.sched_getaffinity(0)),
            max_waiting_bytes=int(parameters["max_waiting_bytes"]),
            is_large=partial(is_large, max_pixels=options.max_pixels),
        )
        gc.freeze()  # imports stay: walking them again and again costs more than jobs

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Queues the requests; their answers come from the workers."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            try:
                self._queue(request, sender)
            except Exception as error:  # raised, it would leak the batch's shared memory
                _refuse(sender, error)

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._enroller.stop()

    def _queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        images, poses, wishes = (
            model_io.elements(request, name) for name in ("IMAGES", "POSES", "OPTIONS")
        )
        if len(images) != len(poses):
            raise RefusedError("poses_mismatch", "as many poses as images are needed")
        if not images:
            raise RefusedError("images_missing", "at least one image is needed")
        wanted = frozenset(request.requested_output_names())
        wish = chosen(wishes[0] if wishes else b"{}", self._wishes)
        # Shared out beforehand, so that the same pictures always get the same answer.
        options = replace(wish.search, extra_views=wish.search.extra_views // len(images))
        declared = [pose.decode("utf-8", "replace") for pose in poses]
        job = Job(
            images,
            partial(self._search, options, sender.is_cancelled),
            _portrait(poses) if "THUMBNAIL" in wanted else None,
            embedded="VECTOR" in wanted,
            answer=partial(self._answer, sender, wanted, wish, declared),
            refuse=partial(_refuse, sender),
            is_cancelled=sender.is_cancelled,
        )
        if not self._enroller.submit(job):
            model_io.fail(sender, "too many pictures are waiting", "UNAVAILABLE")

    def _search(
        self,
        options: SearchOptions,
        is_cancelled: Callable[[], bool],
        data: bytes,
        with_thumbnail: bool,
    ) -> Found:
        def go_on() -> None:
            if is_cancelled():
                raise CancelledError

        return search(
            data,
            self._detect,
            self._detector,
            options,
            with_thumbnail=with_thumbnail,
            go_on=go_on,
        )

    def _detect(self, image: NDArray[Any]) -> NDArray[Any]:
        batch = {"image": image[None]}
        predictions: NDArray[Any] = model_io.call(self._networks[0], batch, "predictions")[0][0]
        return predictions

    def _embed(self, crops: NDArray[Any]) -> NDArray[Any]:
        return model_io.call(self._networks[1], {"image": crops}, "embedding")[0]

    def _answer(
        self,
        sender: ThreadSafeSender,
        wanted: Collection[str],
        wish: Wishes,
        poses: Sequence[str],
        job: Job,
    ) -> None:
        refuse_pictures(job.found, strict=wish.strict, needed=job.embedded)
        found, counted, threshold = job.found, job.embeddings, wish.consistency
        if wish.search.quality == "strict" and threshold is not None:
            found, counted = without_odd_ones(found, counted, threshold)
        told = reports(found, poses, job.embeddings, counted, threshold)
        outputs = {
            "IMAGE_REPORT": model_io.strings(json.dumps(told)),
            "MODEL_INFO": model_io.strings(self._info),
        }
        if "VECTOR" in wanted:
            parts = [part for part in counted if part is not None]
            outputs["VECTOR"] = pooled(parts, unit=wish.unit)
        if "THUMBNAIL" in wanted:
            portrait = _thumbnail(job, found, only_used=wish.search.quality == "strict")
            outputs["THUMBNAIL"] = model_io.strings(portrait)
        model_io.finish(sender, outputs, wanted)


def _portrait(poses: Sequence[bytes]) -> int:
    """Place of the last front view, else of the first picture."""
    fronts = [place for place, pose in enumerate(poses) if pose.lower() == b"front"]
    return fronts[-1] if fronts else 0


def _thumbnail(job: Job, found: Sequence[Found], only_used: bool) -> bytes:
    portrait = found[job.portrait or 0]
    if portrait.thumbnail is not None and (portrait.crops is not None or not only_used):
        return portrait.thumbnail
    # The picture that was to make it is none, or somebody else's: the first one that counts does.
    used = (place for place, one in enumerate(found) if one.crops is not None)
    place = next(used, None)
    return b"" if place is None else job.search(job.images[place], True).thumbnail or b""


def _refuse(sender: ThreadSafeSender, error: Exception) -> None:
    code = "INVALID_ARG" if isinstance(error, RefusedError) else "INTERNAL"
    model_io.fail(sender, str(error) or type(error).__name__, code)
