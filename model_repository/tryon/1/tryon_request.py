"""The options of one job, checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tryon_errors import InputError
from tryon_settings import MODE_DEFAULTS, PRESETS, TryonSettings

Number = TypeVar("Number", int, float)
UPPER = ("auto", "upper", "tops")
CATEGORIES = (*UPPER, "lower", "bottoms", "dresses", "one-pieces")
"""The warp engine dresses upper bodies only; the others are told in the built-in prompt."""
MAX_SAMPLES = 4
"""Pictures of one job; those of the warp engine would all be alike."""
SEEDS = 2**31
"""Of a request: 0 to one less. The seeds of a job's further pictures begin again behind them."""
PHOTO_TYPES = ("auto", "flat-lay", "model")
FORMATS = ("png", "jpeg", "webp")
SEED_LIMIT = 2**63
PROMPT_LIMIT = 4000
"""Characters."""
DEFAULT_PROMPT = (
    "The person in Picture 1 puts on the garment of Picture 2. The green area of Picture 1, where "
    "there is one, only says where the garment goes, on the upper or the lower body. Keep the "
    "garment's shape, fabric, pattern and colours. Keep the person's face, hair, skin, hands and "
    "pose and the background. Blend the edges naturally; no green remains."
)
_TOP, _BOTTOM, _WHOLE = (
    f" The garment is worn on {where}; what is worn elsewhere stays."
    for where in ("the upper body", "the lower body", "the whole body, from the shoulders down")
)
CATEGORY_PROMPTS = {"upper": _TOP, "tops": _TOP, "lower": _BOTTOM, "bottoms": _BOTTOM} | {
    "dresses": _WHOLE,
    "one-pieces": _WHOLE,
}
"""Behind the built-in prompt, by category."""


@dataclass(frozen=True)
class JobOptions:
    """What a job asks for, with the model's defaults where it says nothing.

    Attributes:
        seed: Same seed and inputs, same bytes.
        num_samples: Pictures that differ in their seeds: `seed`, `seed` + 1 and so on.
        steps: Of the diffusion engines; None: the server of the engine `remote` decides.
        cfg: Guidance; 1 is off, None as of `steps`.
        prompt: What the diffusion engines are told.
        mode: fp8, lora or base.
        resolution: Preset of the shorter side.
        garment_photo_type: auto, flat-lay or model (worn by somebody).
        restore: Whether original pixels come back outside the changed region.
        output_format: png, jpeg or webp.
        comparison: Whether a picture of person, garment and result is made.
        given: Names of the options that the request itself sets.
    """

    seed: int
    num_samples: int
    steps: int | None
    cfg: float | None
    prompt: str
    mode: str
    resolution: str
    garment_photo_type: str
    restore: bool
    output_format: str
    comparison: bool
    given: frozenset[str]


def parse_options(text: bytes, settings: TryonSettings) -> JobOptions:
    """Options of a request.

    Raises:
        InputError: Not a JSON object, or an option without a sensible value. Unknown options are
            left alone.
    """
    try:
        options = json.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise InputError("options are no JSON") from None
    if not isinstance(options, dict):
        raise InputError("options are no JSON object")
    given = {name: value for name, value in options.items() if value is not None}
    mode = _choice(given, "mode", settings.default_mode, tuple(MODE_DEFAULTS))
    warp = settings.engine == "warp"
    category = _choice(given, "category", "auto", UPPER if warp else CATEGORIES)
    samples = _whole(given, "num_samples", 1, 1, 1 if warp else MAX_SAMPLES)
    format_default = "jpeg" if settings.compress_output else "png"
    return JobOptions(
        seed=_whole(given, "seed", settings.default_seed, 0, SEED_LIMIT - 1),
        num_samples=samples,
        steps=_optional(_whole, given, "steps", settings.steps(mode), 1, 100),
        cfg=_optional(_real, given, "cfg", settings.cfg(mode), 0.1, 20),
        prompt=_text(given, "prompt", DEFAULT_PROMPT + CATEGORY_PROMPTS.get(category, "")),
        mode=mode,
        resolution=_choice(given, "resolution", settings.default_resolution, tuple(PRESETS)),
        garment_photo_type=_choice(given, "garment_photo_type", "auto", PHOTO_TYPES),
        restore=_flag(given, "restore", settings.restore),
        output_format=_choice(given, "output_format", format_default, FORMATS),
        comparison=_flag(given, "comparison", settings.create_comparison),
        given=frozenset(given),
    )


def parse_command(text: bytes) -> str:
    """Return the operation of a command.

    Raises:
        InputError: Not {"op": "describe"}.
    """
    try:
        operation = json.loads(text)["op"]
    except (UnicodeDecodeError, ValueError, RecursionError, KeyError, TypeError):
        raise InputError("the command is no JSON object with op") from None
    if operation != "describe":
        raise InputError("the command is not known")
    return str(operation)


def _choice(given: dict[str, Any], name: str, default: str, known: tuple[str, ...]) -> str:
    value = given.get(name, default)
    if value not in known:
        raise InputError(f"{name} is not one of {', '.join(known)}")
    return str(value)


def _whole(given: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} is no whole number from {least} to {most}")
    return value


def _real(given: dict[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = given.get(name, default)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not least <= value <= most:
        raise InputError(f"{name} is no number from {least} to {most}")
    return float(value)


def _optional(
    read: Callable[..., Number],
    given: dict[str, Any],
    name: str,
    default: Number | None,
    *ends: float,
) -> Number | None:
    """Return what `read` makes of a value that the request or the settings say, else None."""
    stated = given.get(name, default)
    return None if stated is None else read(given, name, stated, *ends)


def _flag(given: dict[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name} is neither true nor false")
    return value


def _text(given: dict[str, Any], name: str, default: str) -> str:
    value = given.get(name, default)
    if not isinstance(value, str) or len(value) > PROMPT_LIMIT:
        raise InputError(f"{name} is no text of at most {PROMPT_LIMIT} characters")
    return value or default
