"""What a request asks for, read from its options. Pure Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_FRAMES = 128
TIMELINE, VLM = "timeline", "vlm"


class OptionsError(ValueError):
    """Options that cannot be followed; the text is `code: reason`."""


@dataclass(frozen=True)
class StoryOptions:
    """Options of one request.

    Attributes:
        engine: `timeline` or `vlm`.
        frames: Most frames of a clip; None leaves it to the configuration.
        prompt: Instruction to the VLM in place of the built-in one.
        generation: What the VLM is given besides: max_tokens, temperature, seed, thinking_budget.
    """

    engine: str
    frames: int | None
    prompt: str | None
    generation: dict[str, Any]


_GENERATION = ("max_tokens", "temperature", "seed", "thinking_budget")


def read_options(engine: bytes, options: bytes) -> StoryOptions:
    """Read the inputs ENGINE and OPTIONS; empty ones leave everything to the configuration.

    Raises:
        OptionsError: An unknown engine, no JSON object, or a number of frames that is none.
    """
    try:
        name = engine.decode() or TIMELINE
        fields = json.loads(options or b"{}")
    except ValueError as error:
        raise OptionsError("options_invalid: not JSON") from error
    if name not in (TIMELINE, VLM):
        raise OptionsError("engine_unknown: timeline or vlm")
    if not isinstance(fields, dict):
        raise OptionsError("options_invalid: not a JSON object")
    frames, prompt = fields.get("frames"), fields.get("prompt")
    if frames is not None and not (type(frames) is int and 1 <= frames <= MAX_FRAMES):
        raise OptionsError(f"options_invalid: frames is 1 to {MAX_FRAMES}")
    if prompt is not None and not isinstance(prompt, str):
        raise OptionsError("options_invalid: prompt is a text")
    generation = {key: fields[key] for key in _GENERATION if fields.get(key) is not None}
    return StoryOptions(name, frames, prompt or None, generation)
