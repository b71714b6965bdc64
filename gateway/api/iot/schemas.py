"""Bodies of the IoT API; fields it does not know are ignored, as they always were."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class PoseImage(BaseModel):
    """One picture of an enrollment."""

    pose: str | None = None
    """front, left, right, up or down; not checked. The thumbnail shows `front`."""
    data: str
    """Encoded picture in base64, with or without a `data:` prefix."""


class VectorizerRequest(BaseModel):
    """Body of `/iot/vectorizer`."""

    model_config = ConfigDict(json_schema_extra={"required": ["employee_id", "images"]})

    employee_id: str = Field(validation_alias=AliasChoices("employee_id", "user_id"))
    """Echoed; `user_id` is accepted too."""
    images: list[PoseImage]
    options: dict[str, Any] | None = None


class ClipMetadata(BaseModel):
    """What the device says of its clip; the server measures for itself."""

    duration: float | None = None
    """Seconds."""
    fps: float | None = None


class Frame(BaseModel):
    """One picture of a sequence."""

    frame: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """Number in the answer; default: its place in the list."""
    data: str
    """Encoded picture in base64."""


class EmotionsRequest(BaseModel):
    """Body of `/iot/emotions`: with `video_clip` a story is told, with `images` each is judged."""

    event_id: str | None = None
    """Echoed; required with a clip."""
    video_clip: str | None = None
    """An MP4, QuickTime, 3GP or WebM file in base64."""
    metadata: ClipMetadata | None = None
    employee_id: str | None = None
    images: list[Frame] | None = None
    prompt: str | None = None
    """Instruction to a vision-language model, where one is configured."""
    options: dict[str, Any] | None = None
