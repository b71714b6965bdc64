"""What a request of the model `vlm` says, checked; plain functions, without Triton and vLLM."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from numpy.typing import NDArray

TICKS_PER_SECOND = 1000
"""Frame numbers handed to the engine are times in this unit: see `video_item`."""
MIN_SIDE = 32
"""Pixels; Qwen3-VL's patch of 16 times its spatial merge of 2."""
MAX_SCHEMA_BYTES = 16_384
MAX_STOPS = 4

Number = TypeVar("Number", int, float)


class RefusedRequestError(ValueError):
    """The request cannot be carried out; the message begins with a code."""

    def __init__(self, code: str, reason: str) -> None:
        """`code` is one word group such as "options_invalid"; `reason` is for the operator."""
        super().__init__(f"{code}: {reason}")


@dataclass(frozen=True)
class Limits:
    """The most that a request may ask for; also what it gets when it says nothing.

    Attributes:
        frames: Frames of a clip.
        side: Longer side of a frame in pixels.
        tokens: Tokens of an answer.
        thinking: Tokens of thinking before it.
        seconds: Time from arrival to answer.
        images: Pictures of a conversation.
        videos: Clips of a conversation.
    """

    frames: int
    side: int
    tokens: int
    thinking: int
    seconds: float
    images: int = 0
    videos: int = 1


@dataclass(frozen=True)
class Options:
    """How to generate.

    Attributes:
        max_tokens: Most tokens of the answer, thinking not counted.
        thinking_budget: Most tokens of thinking; the engine then ends it. 0 allows none.
        max_completion_tokens: Most tokens of thinking and answer together, or None.
        temperature: Of sampling; None is the model's own, 0 is greedy.
        top_p: Of sampling; None is the model's own.
        presence_penalty: For tokens that have been generated at all.
        frequency_penalty: For each time that a token has been generated.
        seed: Of sampling; None is a different one each time.
        stop: Texts before which the answer ends.
        schema: JSON schema that the answer will obey, or None for free text.
        json: Whether the answer is to be some JSON object.
        deadline_seconds: Time from arrival to answer.
        job: Name under which other requests can cancel and follow this one, or None.
        stream: Whether it will be followed.
        cancel: Job to cancel; such a request asks for nothing else.
        follow: Job of which to answer what it has generated since `after`; nothing else.
        after: What is known of it, see `Progress`.
        canary: Whether a sign of life is enough: a step for others, while there are any.
    """

    max_tokens: int
    thinking_budget: int
    deadline_seconds: float
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    json: bool = False
    job: str | None = None
    stream: bool = False
    cancel: str | None = None
    follow: str | None = None
    after: int = 0
    canary: bool = False


def parse_options(text: bytes, limits: Limits) -> Options:
    """Read the JSON object in OPTIONS; `{}` or nothing asks for the defaults.

    Args:
        text: UTF-8 bytes.
        limits: Limits of this model.

    Returns:
        Options.

    Raises:
        RefusedRequestError: No JSON object, an unknown key, a wrong type or a value out of range.
    """
    try:
        given = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        raise RefusedRequestError("options_invalid", "OPTIONS is not JSON") from None
    if not isinstance(given, dict):
        raise RefusedRequestError("options_invalid", "OPTIONS is not a JSON object")
    known = Options.__dataclass_fields__
    if unknown := sorted(set(given) - set(known)):
        raise RefusedRequestError("options_invalid", f"unknown option {unknown[0][:40]!r}")
    given = {key: value for key, value in given.items() if value not in (None, "")}
    total = limits.tokens + limits.thinking + 1
    return Options(
        max_tokens=_limited(given, "max_tokens", int, 1, limits.tokens),
        thinking_budget=_limited(given, "thinking_budget", int, 0, limits.thinking),
        deadline_seconds=_limited(given, "deadline_seconds", float, 0.001, limits.seconds),
        max_completion_tokens=_number(given, "max_completion_tokens", int, 1, total),
        temperature=_number(given, "temperature", float, 0.0, 2.0),
        top_p=_number(given, "top_p", float, 0.001, 1.0),
        presence_penalty=_number(given, "presence_penalty", float, -2.0, 2.0),
        frequency_penalty=_number(given, "frequency_penalty", float, -2.0, 2.0),
        seed=_number(given, "seed", int, 0, 2**63 - 1),
        stop=_stops(given.get("stop", [])),
        schema=_schema(given.get("schema")),
        json=_flag(given, "json"),
        job=_name(given, "job"),
        stream=_flag(given, "stream"),
        cancel=_name(given, "cancel"),
        follow=_name(given, "follow"),
        after=_number(given, "after", int, 0, 2**31) or 0,
        canary=_flag(given, "canary"),
    )


def check_clip(shape: Sequence[int], timestamps: Iterable[float], limits: Limits) -> None:
    """Check the frames' shape and their times.

    Args:
        shape: Of FRAMES: frames, height, width, channels.
        timestamps: Seconds, float32 [frames].
        limits: Limits of this model.

    Raises:
        RefusedRequestError: The clip is empty, too large, or its times are not ascending.
    """
    frames, height, width, channels = shape
    if channels != 3 or not frames:
        raise RefusedRequestError("frames_invalid", "FRAMES is empty or not RGB")
    if frames > limits.frames:
        raise RefusedRequestError("frames_too_many", f"{frames} frames, {limits.frames} allowed")
    if max(height, width) > limits.side or min(height, width) < MIN_SIDE:
        raise RefusedRequestError(
            "frames_invalid", f"sides must be {MIN_SIDE} to {limits.side} pixels"
        )
    times = [float(time) for time in timestamps]
    if len(times) != frames:
        raise RefusedRequestError("timestamps_invalid", "one timestamp per frame is needed")
    if not all(math.isfinite(time) and time >= 0 for time in times):
        raise RefusedRequestError("timestamps_invalid", "timestamps must be 0 or later")
    if any(later < earlier for earlier, later in pairwise(times)):
        raise RefusedRequestError("timestamps_invalid", "timestamps must ascend")


def video_item(
    frames: NDArray[Any], timestamps: Sequence[float] | NDArray[Any]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the clip as vLLM takes it: frames that are already sampled, and when each one was.

    vLLM derives the times that the model reads, "<1.5 seconds>", as frame number / fps. Counting
    in milliseconds gives it the true ones of any sampling.

    Args:
        frames: uint8 [frames, height, width, 3], RGB.
        timestamps: Seconds, float32 [frames].

    Returns:
        Pair of frames and metadata (vLLM's `multi_modal_data["video"]`).
    """
    if len(frames) == 1:  # the model reads frames in pairs
        frames, timestamps = frames.repeat(2, axis=0), [timestamps[0]] * 2
    numbers = [round(float(time) * TICKS_PER_SECOND) for time in timestamps]
    metadata = {
        "fps": float(TICKS_PER_SECOND),
        "frames_indices": numbers,
        "total_num_frames": numbers[-1] + 1,
        "duration": (numbers[-1] + 1) / TICKS_PER_SECOND,
        "width": int(frames.shape[2]),
        "height": int(frames.shape[1]),
        "video_backend": "pyav",
        "do_sample_frames": False,
    }
    return frames, metadata


def without_control_tokens(text: str, tokens: Iterable[str]) -> str:
    """Remove what the tokenizer would read as control tokens, such as `<|im_end|>`.

    A prompt that contained them could close its own message, or end the thinking before it began.

    Args:
        text: The prompt.
        tokens: All such tokens.
    """
    before: str | None = None
    while before != text:
        before = text
        for token in tokens:
            text = text.replace(token, "")
    return text


def _limited(
    given: Mapping[str, Any], key: str, kind: type[Number], least: Number, most: Number
) -> Number:
    """Return a number; what says nothing gets the most."""
    value = _number(given, key, kind, least, most)
    return most if value is None else value


def _number(
    given: Mapping[str, Any], key: str, kind: type[Number], least: Number, most: Number
) -> Number | None:
    value = given.get(key)
    if value is None:
        return None
    wanted = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted) or not least <= value <= most:
        raise RefusedRequestError("options_invalid", f"{key} must be from {least} to {most}")
    return kind(value)


def _schema(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(json.dumps(value)) > MAX_SCHEMA_BYTES:
        raise RefusedRequestError(
            "options_invalid", f"schema must be an object of at most {MAX_SCHEMA_BYTES} bytes"
        )
    return value


def _flag(given: Mapping[str, Any], key: str) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise RefusedRequestError("options_invalid", f"{key} must be true or false")
    return value


def _stops(value: Any) -> tuple[str, ...]:
    fits = isinstance(value, list) and len(value) <= MAX_STOPS
    if not fits or not all(isinstance(text, str) and 0 < len(text) <= 128 for text in value):
        raise RefusedRequestError(
            "options_invalid", f"stop must be at most {MAX_STOPS} texts of 1 to 128 characters"
        )
    return tuple(value)


def _name(given: Mapping[str, Any], key: str) -> str | None:
    value: str | None = given.get(key)
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= 128):
        raise RefusedRequestError("options_invalid", f"{key} must be 1 to 128 characters")
    return value
