"""Bodies of the IoT API; fields it does not know are ignored, as they always were."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

MAX_DIMENSIONS = 4096
"""Numbers of a vector in a body; those of embedders have 512 or so."""


class PoseImage(BaseModel):
    """One picture of an enrollment."""

    pose: str | None = None
    """front, left, right, up or down, the person's own left and right; the answer's `pose_matches`
    says whether it looks so. The thumbnail shows `front`."""
    data: str
    """Encoded picture in base64, with or without a `data:` prefix."""


class VectorizerRequest(BaseModel):
    """Body of `/iot/vectorizer`."""

    model_config = ConfigDict(json_schema_extra={"required": ["employee_id", "images"]})

    employee_id: str = Field(validation_alias=AliasChoices("employee_id", "user_id"))
    """Echoed; `user_id` is accepted too."""
    images: list[PoseImage]
    options: dict[str, Any] | None = None


class Side(BaseModel):
    """One side of a comparison: a picture or a vector, not both."""

    data: str | None = None
    """Encoded picture in base64, with or without a `data:` prefix."""
    vector: str | Annotated[list[float], Field(max_length=MAX_DIMENSIONS)] | None = None
    """A vector of this server's embedder: base64 of little-endian float32, as
    `enrollmentProcessedFile`, or its numbers."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Side:
        if (self.data is None) == (self.vector is None):
            raise ValueError("either data or vector is required, and not both")
        return self


class CompareRequest(BaseModel):
    """Body of `/iot/compare`."""

    first: Side
    second: Side


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
