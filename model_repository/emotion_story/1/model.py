"""Triton model `emotion_story`: a clip or pictures in, a story of the emotions out.

Decodes the input in a bounded pool of threads, then calls face detector and expression classifier,
or the vision-language model, through BLS. `execute` only queues: answers are sent by the threads,
so several clips are under way at once.
"""

import gc
import json
import locale
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils
from bounded_pool import BoundedPool
from cancel_watch import CancelWatch
from clips.errors import ClipError, ClipLimits
from clips.sampling import Sampling, sample_clip
from engine_values import SEARCHES, network_engine, picture_step
from face_detection import Detector, letterbox
from pictures.decoding import ImageError, is_large
from response_sender import ThreadSafeSender
from stories.face_reading import CancelledError, FaceReader
from stories.timeline_engine import TimelineEngine
from stories.vlm_engine import VlmDeadlineError, VlmError, tell_clip, tell_images
from story_images import decode_all
from story_request import VLM, OptionsError, read_options
from tuning import Tuning

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII
cv2.setNumThreads(1)  # pictures are read side by side already

DEADLINE = "the deadline has passed"  # the VLM's words, and the gateway's sign of a 504
_NO_FRAME = np.zeros((1, 1, 1, 3), np.uint8)


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Read the artefacts of the networks and start the threads."""
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        number = {key: int(value) for key, value in parameters.items() if value.isdecimal()}
        repository = Path(args["model_repository"]).parent
        self._detector, self._classifier = parameters["detector"], parameters["classifier"]
        detector = repository / self._detector / "1"
        facts = json.loads((repository / self._classifier / "1" / "metadata.json").read_bytes())
        self._facts = {**facts, "detector": _facts_of(detector)}
        self._vlm = parameters["vlm"]
        self._max_pixels = number["max_image_pixels"]
        self._vlm_side = number["vlm_side"]
        self._vlm_frames = number["vlm_frames"]
        self._sampling = Sampling(
            ClipLimits(
                max_bytes=number["max_clip_bytes"],
                max_pixels=number["max_clip_pixels"],
                max_seconds=number["max_clip_seconds"],
                max_frames=number["max_clip_frames"],
            ),
            frames=number["frames"],
            side=number["frame_side"],
        )
        engine = network_engine(parameters, self._detector)
        self._searched = Detector.read(detector, step=picture_step(engine))
        self._detection_side = number["detection_side"]
        self._reading_threads = number["reading_threads"]
        self._tuning = Tuning(
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
        self._readers = []
        self._start()
        gc.freeze()  # imports stay: walking them again and again costs more than jobs

    def _start(self):
        values = self._tuning.values
        self._describe()
        pb_utils.Logger.log_info(f"{self._detector} is called with {values.calls}: {values.source}")
        # One more than are in the detector or on a core, so that none waits.
        threads = max(len(os.sched_getaffinity(0)), values.calls.in_flight) + 1
        readers = ThreadPoolExecutor(self._reading_threads or threads, "reader")
        self._readers.append(readers)  # clips that are being read keep the earlier ones
        reader = FaceReader(
            self._detect,
            self._classify,
            self._searched,
            self._detection_side,
            self._facts["input_size"],
            readers,
        )
        self._timeline = TimelineEngine(reader, self._facts["labels"], self._facts["model"])

    def _describe(self):
        self._values = self._tuning.values
        told = {"calls": {self._detector: self._values.as_json()}}
        self._info = json.dumps({**self._facts, **told}).encode()

    def _try(self, _, __):
        """One call of the detector, of a picture of 4:3, as the readers make it."""
        network = self._searched
        image = np.zeros((3 * self._detection_side // 4, self._detection_side, 3), np.uint8)
        canvas = letterbox(image, self._detection_side, network.multiple, network.step)[0]
        self._detect(canvas[None])

    def execute(self, requests):
        """Queues the requests; their answers come from the threads."""
        if self._tuning.renewed(self._try):
            self._start()
        if self._values is not self._tuning.values:  # they stayed, and there is a reason
            self._describe()
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            try:
                self._queue(request, sender)
            except Exception as error:  # raised, it would leak the request's shared memory
                _refuse(sender, error)

    def finalize(self):
        """Lets the threads finish."""
        self._tuning.stop()
        for pool in (self._pool, self._large, self._asking, self._watch):
            pool.stop()
        for readers in self._readers:
            readers.shutdown()

    def _queue(self, request, sender):
        options = read_options(*(b"".join(_values(request, key)) for key in ("ENGINE", "OPTIONS")))
        clips, images = _values(request, "CLIP"), _values(request, "IMAGES")
        if bool(clips) == bool(images):
            raise OptionsError("input_invalid: either CLIP or IMAGES")
        wanted = frozenset(request.requested_output_names())
        work = self._tell_clip if clips else self._tell_images
        inputs = clips[0] if clips else images
        size = sum(map(len, clips or images))
        job = partial(self._run, sender, wanted, work, inputs, options)
        if images:
            job = partial(self._sort, images, size, sender, job)
        if not self._pool.submit(size, job):
            _send_error(sender, "too many clips are waiting", pb_utils.TritonError.UNAVAILABLE)

    def _sort(self, images, size, sender, job):
        if not any(is_large(image, self._max_pixels) for image in images):
            job()
        elif not self._large.submit(size, job):
            _send_error(sender, "too many pictures are waiting", pb_utils.TritonError.UNAVAILABLE)

    def _run(self, sender, wanted, work, inputs, options):
        try:
            if sender.is_cancelled():
                raise CancelledError
            work(inputs, options, sender, partial(self._answer, sender, wanted))
        except Exception as error:
            _refuse(sender, error)

    def _tell_clip(self, data, options, sender, answer):
        frames = options.frames or self._sampling.frames
        if options.engine != VLM:
            clip = sample_clip(data, replace(self._sampling, frames=frames))
            answer(self._timeline.tell_clip(clip, sender.is_cancelled))
            return
        sampling = replace(
            self._sampling, frames=min(frames, self._vlm_frames), side=self._vlm_side
        )
        clip, timeline = sample_clip(data, sampling), Future()
        tell = partial(tell_clip, clip, options, timeline.result)
        self._ask(clip.frames.nbytes, tell, sender, answer)
        timeline.set_result(self._seen(clip))  # while the VLM writes

    def _seen(self, clip):
        try:
            return self._timeline.tell_clip(clip, lambda: False)
        except Exception as error:
            pb_utils.Logger.log_warn(f"no timeline beside the story: {error}")
            return None

    def _tell_images(self, files, options, sender, answer):
        side = self._vlm_side if options.engine == VLM else self._sampling.side
        images = decode_all(files, self._max_pixels, side)
        if options.engine == VLM:
            size = sum(image.nbytes for image in images)
            self._ask(size, partial(tell_images, images, side, options), sender, answer)
        else:
            answer(self._timeline.tell_images(images, sender.is_cancelled))

    def _ask(self, size, tell, sender, answer):
        """Lets another thread wait for the VLM: this one goes on with the next clip."""
        if not self._asking.submit(size, partial(self._ask_now, tell, sender, answer)):
            raise VlmError("too many stories are waiting")

    def _ask_now(self, tell, sender, answer):
        try:
            with self._watch.watched(sender.is_cancelled) as job:
                answer(tell(partial(self._call_vlm, job)))
        except Exception as error:
            _refuse(sender, error)

    def _call_vlm(self, job, frames, timestamps, prompt, options):
        inputs = {
            "FRAMES": frames,
            "TIMESTAMPS": np.array(timestamps, np.float32),
            "PROMPT": np.array([prompt.encode()], np.object_),
            "OPTIONS": np.array([json.dumps({**options, "job": job}).encode()], np.object_),
        }
        try:
            text, info = _call(self._vlm, inputs, "TEXT", "MODEL_INFO")
            return text.flat[0].decode(), json.loads(info.flat[0])["model"]
        except Exception as error:
            if DEADLINE in str(error):
                raise VlmDeadlineError(DEADLINE) from error
            raise VlmError(str(error)) from error

    def _cancel_vlm(self, job):
        try:
            self._call_vlm("", _NO_FRAME, [0.0], "", {"cancel": job})
        except (VlmError, VlmDeadlineError) as error:
            pb_utils.Logger.log_warn(f"{self._vlm} was not told of a cancellation: {error}")

    def _detect(self, image):
        return _call(self._detector, {"image": image}, "predictions")[0]

    def _classify(self, crops):
        return _call(self._classifier, {"image": crops}, "probabilities")[0]

    def _answer(self, sender, wanted, result):
        texts = {"RESULT": json.dumps(result).encode(), "MODEL_INFO": self._info}
        kept = [
            pb_utils.Tensor(name, np.array([text], np.object_))
            for name, text in texts.items()
            if name in wanted
        ]
        sender.send(
            pb_utils.InferenceResponse(kept), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        )


def _facts_of(folder):
    facts = json.loads((folder / "detector.json").read_bytes())
    return {key: facts[key] for key in ("model", "source", "license", "training", "sha256")}


def _values(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [] if tensor is None else list(tensor.as_numpy().reshape(-1))


def _call(model, inputs, *outputs):
    response = pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=list(outputs),
        inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    ).exec()
    if response.has_error():
        raise RuntimeError(f"{model} failed: {response.error().message()}")
    return [
        pb_utils.get_output_tensor_by_name(response, output).as_numpy().copy() for output in outputs
    ]


def _refuse(sender, error):
    message = str(error) or type(error).__name__
    if isinstance(error, VlmError):
        _send_error(sender, f"vlm_unavailable: {message}", pb_utils.TritonError.INVALID_ARG)
    elif isinstance(error, VlmDeadlineError):
        _send_error(sender, message, pb_utils.TritonError.UNAVAILABLE)
    elif isinstance(error, CancelledError):
        _send_error(sender, "cancelled", pb_utils.TritonError.CANCELLED)
    else:
        refused = isinstance(error, (ClipError, ImageError, OptionsError))
        code = pb_utils.TritonError.INVALID_ARG if refused else pb_utils.TritonError.INTERNAL
        _send_error(sender, message, code)


def _send_error(sender, message, code):
    error = pb_utils.TritonError(message, code)
    sender.send(
        pb_utils.InferenceResponse(error=error), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )
