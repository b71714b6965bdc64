"""Engine `vlm`: what is asked of a vision-language model, and how its answers are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from clips.sampling import SampledClip
from face_detection import letterbox
from numpy.typing import NDArray
from story_request import StoryOptions

from stories.narration import summarise_images

ENGINE = "vlm"
MULTIPLE = 32
"""Sides of frames are multiples of it: two merged patches of 16 pixels in Qwen3-VL."""

PICTURES_PER_QUESTION = 8
"""More pictures are asked about in several questions at once, which the VLM batches: answers stay
within its limits of tokens and frames, and a long list is not cut off at the end."""
TOKENS_PER_PICTURE = 120
"""Of an answer: 40 for the keys and numbers of `schema`, 50 for 200 characters of English, and a
reserve for numbers with many digits."""

LABELS = (
    *("neutral", "happiness", "sadness", "anger"),
    *("fear", "surprise", "disgust", "contempt"),
)

STORY_PROMPT = (
    "You see frames of a {seconds:.0f} second clip from a camera at a desk or door, in the order "
    "of time. Tell in about 80 words of plain English how the emotions of the people in view "
    "develop: what their faces and postures show, when it changes (in seconds), and what visibly "
    "causes it. Tell only what can be seen; if no face is visible, say so. Answer with the story "
    "alone."
)
IMAGES_PROMPT = (
    "You see {count} separate pictures. Judge for each, in order, which emotion the most prominent "
    "face shows."
)
FORMAT_PROMPT = (
    " Answer with one JSON object with the key emotions: a list of exactly {count} objects with "
    "the keys frame (0 to {last}), emotion (one of {labels}), confidence (0 to 1) and description "
    "(one short sentence)."
)

Ask = Callable[[NDArray[Any], Sequence[float], str, dict[str, Any]], tuple[str, str]]
"""Frames UINT8 [n, height, width, 3], times in seconds, prompt, options; gives the text and the
model's name."""

Watch = Callable[[], dict[str, Any] | None]
"""Waits for what the timeline engine saw in the same clip; None when it failed."""


class VlmError(RuntimeError):
    """The VLM cannot be reached, or its answer cannot be used; the text is `code: reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"vlm_unavailable: {reason}")


class VlmDeadlineError(RuntimeError):
    """The VLM did not answer in time."""


def tell_clip(clip: SampledClip, options: StoryOptions, watch: Watch, ask: Ask) -> dict[str, Any]:
    """Asks for the story of a clip; the timeline of emotions comes from the timeline engine.

    Args:
        clip: Sampled frames.
        options: Of the request.
        watch: Gives the timeline engine's result for the clip.
        ask: Asks the VLM.

    Raises:
        VlmError: There is no story.
        VlmDeadlineError: Not in time.
    """
    height, width = (_rounded(side) for side in clip.frames.shape[1:3])
    frames = np.stack(
        [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in clip.frames]
    )
    prompt = options.prompt or STORY_PROMPT.format(seconds=clip.duration)
    text, model = ask(frames, clip.timestamps, prompt, options.generation)
    story = text.strip()
    if not story:
        raise VlmError("an empty story")
    seen = watch() or {
        "emotions": [],
        "frames": [
            {"frame": number, "timestamp_s": at} for number, at in enumerate(clip.timestamps)
        ],
    }
    return {
        "story": story,
        "engine": ENGINE,
        "model": model,
        "emotions": seen["emotions"],
        "emotions_model": seen.get("model"),
        "frames": seen["frames"],
        "frames_analyzed": len(frames),
        "duration_s": clip.duration,
        "truncated": clip.truncated,
    }


def tell_images(
    images: Sequence[NDArray[Any]], side: int, options: StoryOptions, ask: Ask
) -> dict[str, Any]:
    """Asks for the emotion in each of some pictures.

    Args:
        images: UINT8 [height, width, 3] each.
        side: Longer side that the VLM sees, in pixels.
        options: Of the request.
        ask: Asks the VLM.

    Raises:
        VlmError: There is no answer for each of them.
        VlmDeadlineError: Not in time.
    """
    groups = [
        images[start : start + PICTURES_PER_QUESTION]
        for start in range(0, len(images), PICTURES_PER_QUESTION)
    ]
    with ThreadPoolExecutor(len(groups), "question") as pool:
        answers = list(pool.map(lambda group: _judge(group, side, options, ask), groups))
    judged = [
        {**judgement, "frame": number}
        for number, judgement in enumerate(judgement for ones, _ in answers for judgement in ones)
    ]
    return {
        "story": summarise_images(
            [(judgement["emotion"], judgement["confidence"]) for judgement in judged]
        ),
        "engine": ENGINE,
        "model": answers[0][1],
        "emotions": [],
        "frames": judged,
        "frames_analyzed": len(judged),
        "duration_s": None,
        "truncated": False,
    }


def _judge(
    images: Sequence[NDArray[Any]], side: int, options: StoryOptions, ask: Ask
) -> tuple[list[dict[str, Any]], str]:
    """Emotions of the pictures of one question, and the VLM's name."""
    frames = _on_one_size([letterbox(image, side, MULTIPLE)[0] for image in images])
    count = len(images)
    prompt = (options.prompt or IMAGES_PROMPT.format(count=count)) + FORMAT_PROMPT.format(
        count=count, last=count - 1, labels=", ".join(LABELS)
    )
    tokens = max(options.generation.get("max_tokens", 0), TOKENS_PER_PICTURE * count)
    generation = {**options.generation, "max_tokens": tokens, "schema": schema(count)}
    answer, model = ask(frames, [float(number) for number in range(count)], prompt, generation)
    return read_emotions(answer, count), model


def schema(count: int) -> dict[str, Any]:
    """JSON schema of the answer about `count` pictures."""
    entry = {
        "type": "object",
        "properties": {
            "frame": {"type": "integer", "minimum": 0, "maximum": count - 1},
            "emotion": {"enum": list(LABELS)},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "description": {"type": "string", "maxLength": 200},
        },
        "required": ["frame", "emotion", "confidence", "description"],
        "additionalProperties": False,
    }
    entries = {"type": "array", "items": entry, "minItems": count, "maxItems": count}
    return {
        "type": "object",
        "properties": {"emotions": entries},
        "required": ["emotions"],
        "additionalProperties": False,
    }


def read_emotions(answer: str, count: int) -> list[dict[str, Any]]:
    """Return the emotions of an answer that follows `schema`, by place, whatever it numbers them.

    Raises:
        VlmError: It does not follow it; long answers end early.
    """
    try:
        entries = json.loads(answer)["emotions"]
        emotions = [
            {
                "frame": number,
                "emotion": LABELS[LABELS.index(entry["emotion"])],
                "confidence": round(min(max(float(entry["confidence"]), 0.0), 1.0), 4),
                "description": str(entry["description"]),
            }
            for number, entry in enumerate(entries)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise VlmError("an answer in another format") from error
    if len(emotions) != count:
        raise VlmError("an answer about another number of pictures")
    return emotions


def _rounded(side: int) -> int:
    return max(MULTIPLE, round(side / MULTIPLE) * MULTIPLE)


def _on_one_size(images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """UINT8 [n, height, width, 3]; smaller pictures get black below and at the right."""
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    frames = np.zeros((len(images), height, width, 3), np.uint8)
    for frame, image in zip(frames, images, strict=True):
        frame[: image.shape[0], : image.shape[1]] = image
    return frames
