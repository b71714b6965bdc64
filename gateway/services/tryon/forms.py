"""The two forms of the API, checked in the replaced server's order and words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from gateway.errors import BadRequestError, BodyTooLargeError, InvalidBodyError
from gateway.http.problems import bounded, problem
from gateway.services.tryon.image_header import FORMATS, NotAnImageError, read_header
from gateway.services.tryon.jobs.files import GARMENT, PERSON
from gateway.services.tryon.upload import Form, SavedFile

FILES = {"masked_user_image": PERSON, "garment_image": GARMENT}
"""Name under which each file of the form is kept."""
MAX_SIDE = 65_535
"""Pixels of a picture's longer side, as the model's decoder has it."""
PROVIDERS = ("qwen", "lightxv")
WARP = "warp"
"""The engine that moves a garment's pixels: tops only, and of one job always the same picture."""
WARP_CATEGORIES = ("auto", "upper", "tops")
MAX_SAMPLES = 4
"""Pictures of one job, as the model has it."""
Text = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
"""Any text without control characters."""


def _fits_a_path(text: str) -> str:
    if "/" in text or text in (".", ".."):
        raise ValueError("a job id cannot hold a slash, nor be . or .., as it is part of addresses")
    return text


JobId = Annotated[Text, StringConstraints(max_length=255), AfterValidator(_fits_a_path)]
"""A UUID as documented, but nobody ever insisted."""

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Steps = Annotated[int, Field(ge=1, le=50)]
Guidance = Annotated[float, Field(ge=0.1, le=20, allow_inf_nan=False)]
Prompt = Annotated[str, StringConstraints(max_length=4000)]
Category = Literal["auto", "upper", "tops", "lower", "bottoms", "dresses", "one-pieces"]


class Config(BaseModel):
    """The JSON object in `config`: all keys optional, unknown ones ignored."""

    model_config = ConfigDict(strict=True)

    seed: Seed | None = None
    steps: Steps | None = None
    cfg: Guidance | None = None
    prompt: Prompt | None = None
    mode: Literal["fp8", "lora", "base"] | None = None
    resolution: Literal["480p", "720p", "1080p"] | None = None
    category: Category | None = None
    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] | None = None
    garment_photo_type: Literal["auto", "flat-lay", "model"] | None = None
    restore: bool | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    comparison: bool | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] | None = None


class TryonFields(BaseModel):
    """The text fields of `/tryon`."""

    job_id: JobId
    user_id: Text
    session_id: Text
    provider: Text
    config: str = "{}"


class InferFields(BaseModel):
    """The text fields of `/infer`."""

    seed: Seed | None = None
    steps: Steps | None = None
    cfg: Guidance | None = None
    prompt: Prompt | None = None


def check_form(form: Form, model: type[BaseModel]) -> dict[str, Any]:
    """Return the text fields as ``model`` has them, once both files are there too.

    Raises:
        InvalidBodyError: 422 with every problem, as a FastAPI server words it.
    """
    problems: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    try:
        fields = {name: text for name, text in form.texts.items() if text}  # empty is missing
        values = model.model_validate(fields).model_dump(exclude_none=True)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
    for name in FILES:
        if name not in form.files:
            problems.append(_no_file(name, form))
    if problems:
        raise InvalidBodyError(bounded(problems))
    return values


def parse_config(text: str) -> dict[str, Any]:
    """Return the options in `config`.

    Raises:
        BadRequestError: no JSON object, or a value of the wrong type or out of range.
    """
    try:
        values = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise BadRequestError("config is not valid JSON") from None
    if not isinstance(values, dict):
        raise BadRequestError("config must be a JSON object")
    try:
        return Config.model_validate(values).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:1])
        raise BadRequestError(f"config.{where}: {first['msg']}") from None


def check_engine(options: Mapping[str, Any], engine: str) -> None:
    """Check whether an engine can do what a job asks for.

    Raises:
        BadRequestError: it cannot put on such a garment, or makes one picture only.
    """
    if engine != WARP:
        return
    if options.get("category", "auto") not in WARP_CATEGORIES:
        known = ", ".join(WARP_CATEGORIES)
        raise BadRequestError(f"config.category: the engine warp knows {known}")
    if options.get("num_samples", 1) > 1:
        raise BadRequestError("config.num_samples: the engine warp makes one picture of a job")


def check_pictures(form: Form, max_pixels: int) -> None:
    """Check both pictures by their headers; reads files, so call it in a thread.

    Raises:
        BadRequestError: empty or no picture.
        BodyTooLargeError: too many pixels.
    """
    for name in FILES:
        check_picture(name, form.files[name], max_pixels)


def check_picture(name: str, file: SavedFile, max_pixels: int) -> None:
    """Check one picture; see :func:`check_pictures`."""
    if not file.size:
        raise BadRequestError(f"{name} is empty")
    header = _header(name, file.path)
    if header[0] * header[1] > max_pixels:
        raise BodyTooLargeError(
            f"{name} has {header[0]}x{header[1]} pixels: the limit is {max_pixels} pixels"
        )
    if max(header) > MAX_SIDE:
        raise BodyTooLargeError(
            f"{name} has {header[0]}x{header[1]} pixels: the limit is {MAX_SIDE} a side"
        )


def _header(name: str, path: Path) -> tuple[int, int]:
    with path.open("rb") as opened:
        try:
            header = read_header(opened)
        except NotAnImageError:
            raise BadRequestError(f"{name} is not a {FORMATS} picture") from None
    return header.width, header.height


def _problem(item: Mapping[str, Any]) -> dict[str, Any]:
    shown = None if item["type"] == "missing" else item["input"]
    return problem(item["type"], ["body", *item["loc"]], item["msg"], shown)


def _no_file(name: str, form: Form) -> dict[str, Any]:
    kind, message = "missing", "Field required"
    if name in form.texts:
        kind, message = "value_error", "Value error, Expected UploadFile, received: <class 'str'>"
    return problem(kind, ["body", name], message)
