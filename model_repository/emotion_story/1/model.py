"""Triton model `emotion_story`: a clip or pictures in, a story of the emotions out.

Decodes the input in a bounded pool of threads, then calls face detector and expression classifier,
or the vision-language model, through BLS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from bounded_pool import BoundedPool
from cancel_watch import CancelWatch
from clips.errors import ClipError, ClipLimits
from clips.sampling import SampledClip, Sampling, sample_clip
from engine_values import SEARCHES, Calls, network_engine, picture_step
from face_detection import Detector, letterbox
from numpy.typing import NDArray
from pictures.decoding import ImageError, is_large
from response_sender import ThreadSafeSender
from stories.face_reading import CancelledError, FaceReader
from stories.timeline_engine import TimelineEngine
from stories.vlm_engine import Ask, VlmDeadlineError, VlmError, tell_clip, tell_images
from story_images import decode_all
from story_request import VLM, OptionsError, StoryOptions, read_options
from tuned_model import TunedModel
from tuning import Tuning

cv2.setNumThreads(1)  # pictures are read side by side already

DEADLINE = "the deadline has passed"  # the VLM's words, and the gateway's sign of a 504
Answer = Callable[[dict[str, Any]], None]
Story = Callable[[Ask], dict[str, Any]]
_NO_FRAME = np.zeros((1, 1, 1, 3), np.uint8)


class TritonPythonModel(TunedModel):
    """One instance; see the parameters in config.pbtxt."""

    codes = {
        **dict.fromkeys((ClipError, ImageError, OptionsError, VlmError), "INVALID_ARG"),
        VlmDeadlineError: "UNAVAILABLE",
        CancelledError: "CANCELLED",
    }

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts of the networks and start the threads."""
        parameters = model_settings.parameters(args)
        number = {key: int(value) for key, value in parameters.items() if value.isdecimal()}
        repository = Path(args["model_repository"]).parent
        self._detector, self._classifier = parameters["detector"], parameters["classifier"]
        detector = repository / self._detector / "1"
        facts = json.loads((repository / self._classifier / "1" / "metadata.json").read_bytes())
        self.facts = {**facts, "detector": _facts_of(detector)}
        self._vlm = parameters["vlm"]
        self._max_pixels = number["max_image_pixels"]
        self._vlm_side = number["vlm_side"]
        self._vlm_frames = number["vlm_frames"]
        self._sampling = Sampling(
            ClipLimits.of(number), frames=number["frames"], side=number["frame_side"]
        )
        engine = network_engine(parameters, self._detector)
        self._searched = Detector.read(detector, step=picture_step(engine))
        self._detection_side = number["detection_side"]
        self._reading_threads = number["reading_threads"]
        tuning = Tuning(
            SEARCHES, engine, detector.parent, rows="1", in_flight=parameters["reading_threads"]
        )
        cores = len(os.sched_getaffinity(0))
        self._pool = BoundedPool(
            "clip", number["jobs_in_flight"] or cores, number["max_waiting_bytes"]
        )
        # Where requests with large pictures wait for each other while others pass.
        self._large = BoundedPool("large", 1, number["max_waiting_bytes"])
        self._asking = BoundedPool("vlm", number["vlm_in_flight"], number["max_vlm_bytes"])
        self._watch = CancelWatch(self._cancel_vlm)
        self._readers: list[ThreadPoolExecutor] = []
        self.tune((tuning, self._try))

    def start(self, calls: Sequence[Calls]) -> Callable[[], None]:
        """Start the threads that read pictures; clips that are being read keep the earlier ones."""
        # One more than are in the detector or on a core, so that none waits.
        threads = max(len(os.sched_getaffinity(0)), calls[0].in_flight) + 1
        readers = ThreadPoolExecutor(self._reading_threads or threads, "reader")
        self._readers.append(readers)
        reader = FaceReader(
            self._detect,
            self._classify,
            self._searched,
            self._detection_side,
            self.facts["input_size"],
            readers,
        )
        self._timeline = TimelineEngine(reader, self.facts["labels"], self.facts["model"])
        return lambda: None  # they end with the model

    def _try(self, _: int, __: int) -> None:
        """One call of the detector, of a picture of 4:3, as the readers make it."""
        network = self._searched
        image = np.zeros((3 * self._detection_side // 4, self._detection_side, 3), np.uint8)
        canvas = letterbox(image, self._detection_side, network.multiple, network.step)[0]
        self._detect(canvas[None])

    def finalize(self) -> None:
        """Lets the threads finish."""
        super().finalize()
        for pool in (self._pool, self._large, self._asking, self._watch):
            pool.stop()
        for readers in self._readers:
            readers.shutdown()

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue the clip, or the pictures."""
        engine, options, clips, images = (
            model_io.elements(request, name) for name in ("ENGINE", "OPTIONS", "CLIP", "IMAGES")
        )
        story_options = read_options(b"".join(engine), b"".join(options))
        if bool(clips) == bool(images):
            raise OptionsError("input_invalid: either CLIP or IMAGES")
        wanted = frozenset(request.requested_output_names())
        answer = partial(self._answer, sender, wanted)
        if clips:
            work = partial(self._tell_clip, clips[0], story_options, sender, answer)
        else:
            work = partial(self._tell_images, images, story_options, sender, answer)
        size = sum(map(len, clips or images))
        job = partial(self._run, sender, work)
        if images:
            job = partial(self._sort, images, size, sender, job)
        if not self._pool.submit(size, job):
            model_io.fail(sender, "too many clips are waiting", "UNAVAILABLE")

    def _sort(
        self, images: Sequence[bytes], size: int, sender: ThreadSafeSender, job: Callable[[], None]
    ) -> None:
        if not any(is_large(image, self._max_pixels) for image in images):
            job()
        elif not self._large.submit(size, job):
            model_io.fail(sender, "too many pictures are waiting", "UNAVAILABLE")

    def _tell_clip(
        self, data: bytes, options: StoryOptions, sender: ThreadSafeSender, answer: Answer
    ) -> None:
        frames = options.frames or self._sampling.frames
        if options.engine != VLM:
            clip = sample_clip(data, replace(self._sampling, frames=frames))
            answer(self._timeline.tell_clip(clip, sender.is_cancelled))
            return
        sampling = replace(
            self._sampling, frames=min(frames, self._vlm_frames), side=self._vlm_side
        )
        clip = sample_clip(data, sampling)
        timeline: Future[dict[str, Any] | None] = Future()
        tell = partial(tell_clip, clip, options, timeline.result)
        self._ask(clip.frames.nbytes, tell, sender, answer)
        timeline.set_result(self._seen(clip))  # while the VLM writes

    def _seen(self, clip: SampledClip) -> dict[str, Any] | None:
        try:
            return self._timeline.tell_clip(clip, lambda: False)
        except Exception as error:
            pb_utils.Logger.log_warn(f"no timeline beside the story: {error}")
            return None

    def _tell_images(
        self,
        files: Sequence[bytes],
        options: StoryOptions,
        sender: ThreadSafeSender,
        answer: Answer,
    ) -> None:
        side = self._vlm_side if options.engine == VLM else self._sampling.side
        images = decode_all(files, self._max_pixels, side)
        if options.engine == VLM:
            size = sum(image.nbytes for image in images)
            self._ask(size, partial(tell_images, images, side, options), sender, answer)
        else:
            answer(self._timeline.tell_images(images, sender.is_cancelled))

    def _ask(self, size: int, tell: Story, sender: ThreadSafeSender, answer: Answer) -> None:
        """Lets another thread wait for the VLM: this one goes on with the next clip."""
        if not self._asking.submit(size, partial(self._ask_now, tell, sender, answer)):
            raise VlmError("too many stories are waiting")

    def _ask_now(self, tell: Story, sender: ThreadSafeSender, answer: Answer) -> None:
        try:
            with self._watch.watched(sender.is_cancelled) as job:
                answer(tell(partial(self._call_vlm, job)))
        except Exception as error:
            self.refuse(sender, error)

    def _run(self, sender: ThreadSafeSender, work: Callable[[], None]) -> None:
        try:
            if sender.is_cancelled():
                raise CancelledError
            work()
        except Exception as error:
            self.refuse(sender, error)

    def _call_vlm(
        self,
        job: str,
        frames: NDArray[Any],
        timestamps: Sequence[float],
        prompt: str,
        options: Mapping[str, Any],
    ) -> tuple[str, str]:
        inputs = {
            "FRAMES": frames,
            "TIMESTAMPS": np.array(timestamps, np.float32),
            "PROMPT": model_io.strings(prompt),
            "OPTIONS": model_io.strings(json.dumps({**options, "job": job})),
        }
        try:
            text, info = model_io.call(self._vlm, inputs, "TEXT", "MODEL_INFO")
            return text.flat[0].decode(), json.loads(info.flat[0])["model"]
        except Exception as error:
            if DEADLINE in str(error):
                raise VlmDeadlineError(DEADLINE) from error
            raise VlmError(str(error)) from error

    def _cancel_vlm(self, job: str) -> None:
        try:
            self._call_vlm("", _NO_FRAME, [0.0], "", {"cancel": job})
        except (VlmError, VlmDeadlineError) as error:
            pb_utils.Logger.log_warn(f"{self._vlm} was not told of a cancellation: {error}")

    def _detect(self, image: NDArray[Any]) -> NDArray[Any]:
        return model_io.call(self._detector, {"image": image}, "predictions")[0]

    def _classify(self, crops: NDArray[Any]) -> NDArray[Any]:
        return model_io.call(self._classifier, {"image": crops}, "probabilities")[0]

    def _answer(
        self, sender: ThreadSafeSender, wanted: Collection[str], result: dict[str, Any]
    ) -> None:
        outputs = {
            "RESULT": model_io.strings(json.dumps(result)),
            "MODEL_INFO": model_io.strings(self.info),
        }
        model_io.finish(sender, outputs, wanted)


def _facts_of(folder: Path) -> dict[str, Any]:
    facts = json.loads((folder / "detector.json").read_bytes())
    return {key: facts[key] for key in ("model", "source", "license", "training", "sha256")}
