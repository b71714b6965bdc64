"""Triton model `face_enrollment`: pictures of one person in, the vector of the face out.

Decodes and searches the pictures side by side (detector), aligns and varies the faces, and embeds
the crops of all requests in shared batches (embedder); both networks through BLS.
"""

from __future__ import annotations

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
import numpy as np
import triton_python_backend_utils as pb_utils
from engine_values import CROPS, SEARCHES, Calls, network_engine, picture_step
from enrollment.jobs import CancelledError, Enroller, Job
from enrollment.options import Wishes, chosen
from enrollment.refusals import RefusedError, refuse_pictures
from enrollment.reports import reports, without_odd_ones
from face_detection import Detector, letterbox
from faces.alignment import SIDE
from faces.consistency import pooled
from faces.quality import Mode
from faces.search import SearchOptions, SearchResult, search
from network_facts import network_facts, thresholds
from numpy.typing import NDArray
from pictures.decoding import is_large
from response_sender import ThreadSafeSender
from row_batches import RowBatches
from tuned_model import TunedModel
from tuning import Tuning

cv2.setNumThreads(1)  # pictures run side by side already


class TritonPythonModel(TunedModel):
    """One instance; see the parameters in config.pbtxt."""

    codes = {RefusedError: "INVALID_ARG"}

    def initialize(self, args: dict[str, str]) -> None:
        """Read the networks' declarations and start the workers."""
        parameters = model_settings.parameters(args)
        repository = Path(args["model_repository"]).parent
        self._networks = parameters["detector"], parameters["embedder"]
        folders = [repository / name / "1" for name in self._networks]
        detector, embedder = (network_engine(parameters, name) for name in self._networks)
        self._detector = Detector.read(folders[0], step=picture_step(detector))
        self.facts = json.loads(network_facts(*folders))
        options = SearchOptions(
            detection_side=int(parameters["detection_side"]),
            rule=parameters["face"],
            min_face=int(parameters["min_face"]),
            varied=parameters["variants"] == "true",
            max_pixels=int(parameters["max_pixels"]),
            quality=cast("Mode", parameters["quality"]),
            extra_views=int(parameters["extra_views"]),
        )
        threshold = thresholds(self.facts["model"]).consistency
        self._wishes = Wishes(options, parameters["strict"] == "true", threshold)
        searches = Tuning(
            SEARCHES, detector, folders[0].parent, rows="1", in_flight=parameters["searchers"]
        )
        crops = Tuning(
            CROPS,
            embedder,
            folders[1].parent,
            rows=parameters["batch_rows"],
            in_flight=parameters["batches_in_flight"],
        )
        self._max_waiting_bytes = int(parameters["max_waiting_bytes"])
        self._is_large = partial(is_large, max_pixels=options.max_pixels)
        self._searchers = int(parameters["searchers"])
        self._detection_side = options.detection_side
        self.tune((searches, self._try_search), (crops, self._try_crops))

    def start(self, calls: Sequence[Calls]) -> Callable[[], None]:
        """Start the threads that search pictures, and those that embed crops."""
        searches, crops = calls
        # Pictures are decoded by the threads that search them, so there is one for each core.
        threads = max(len(os.sched_getaffinity(0)), searches.in_flight)
        self._enroller = Enroller(
            RowBatches(
                lambda rows: list(self._embed(rows)),
                "crops",
                batches=crops.in_flight,
                batch_rows=crops.rows,
            ),
            searchers=self._searchers or threads,
            max_waiting_bytes=self._max_waiting_bytes,
            is_large=self._is_large,
        )
        return self._enroller.stop

    def _try_search(self, _: int, __: int) -> None:
        """One call of the detector, of a picture of 4:3, as the searchers make it."""
        network = self._detector
        image = np.zeros((3 * self._detection_side // 4, self._detection_side, 3), np.uint8)
        self._detect(letterbox(image, self._detection_side, network.multiple, network.step)[0])

    def _try_crops(self, rows: int, _: int) -> None:
        """One call of the embedder, as the batches make it."""
        self._embed(np.zeros((rows, SIDE, SIDE, 3), np.uint8))

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue the pictures."""
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
            refuse=partial(self.refuse, sender),
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
    ) -> SearchResult:
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
        refuse_pictures(job.results, strict=wish.strict, needed=job.embedded)
        results, counted, threshold = job.results, job.embeddings, wish.consistency
        if wish.search.quality == "strict" and threshold is not None:
            results, counted = without_odd_ones(results, counted, threshold)
        rows = reports(results, poses, job.embeddings, counted, threshold)
        outputs = {
            "IMAGE_REPORT": model_io.strings(json.dumps(rows)),
            "MODEL_INFO": model_io.strings(self.info),
        }
        if "VECTOR" in wanted:
            parts = [part for part in counted if part is not None]
            outputs["VECTOR"] = pooled(parts, unit=wish.unit)
        if "THUMBNAIL" in wanted:
            portrait = _thumbnail(job, results, only_used=wish.search.quality == "strict")
            outputs["THUMBNAIL"] = model_io.strings(portrait)
        model_io.finish(sender, outputs, wanted)


def _portrait(poses: Sequence[bytes]) -> int:
    """Place of the last front view, else of the first picture."""
    fronts = [place for place, pose in enumerate(poses) if pose.lower() == b"front"]
    return fronts[-1] if fronts else 0


def _thumbnail(job: Job, results: Sequence[SearchResult], only_used: bool) -> bytes:
    portrait = results[job.portrait or 0]
    if portrait.thumbnail is not None and (portrait.crops is not None or not only_used):
        return portrait.thumbnail
    # The picture that was to make it is none, or somebody else's: the first one that counts does.
    used = (place for place, result in enumerate(results) if result.crops is not None)
    place = next(used, None)
    return b"" if place is None else job.search(job.images[place], True).thumbnail or b""
