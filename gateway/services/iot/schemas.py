"""Bodies and answers of the IoT API; fields it does not know are ignored, as they always were."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from typing_extensions import NotRequired, TypedDict

from gateway.http.answers import described
from gateway.http.long_text import LONG, Base64Text

MAX_DIMENSIONS = 4096
"""Numbers of a vector in a body; those of embedders have 512 or so."""
_DOCSTRINGS = ConfigDict(use_attribute_docstrings=True)


class PoseImage(BaseModel):
    """One picture of an enrollment."""

    model_config = _DOCSTRINGS

    pose: str | None = None
    """front, left, right, up or down, the person's own left and right; the answer's `pose_matches`
    says whether it looks so. The thumbnail shows `front`."""
    data: Base64Text
    """Encoded picture in base64, with or without a `data:` prefix."""


class VectorizerRequest(BaseModel):
    """Body of `/iot/vectorizer`."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"required": ["employee_id", "images"]}
    )

    employee_id: str = Field(validation_alias=AliasChoices("employee_id", "user_id"))
    """Echoed; `user_id` is accepted too."""
    images: list[PoseImage]
    options: dict[str, Any] | None = None


class Side(BaseModel):
    """One side of a comparison: a picture or a vector, not both."""

    data: Base64Text | None = None
    """Encoded picture in base64, with or without a `data:` prefix."""
    vector: Annotated[
        str | Annotated[list[float], Field(max_length=MAX_DIMENSIONS)] | None, LONG
    ] = None
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

    model_config = _DOCSTRINGS

    duration: float | None = None
    """Seconds."""
    fps: float | None = None


class Frame(BaseModel):
    """One picture of a sequence."""

    model_config = _DOCSTRINGS

    frame: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """Number in the answer; default: its place in the list."""
    data: Base64Text
    """Encoded picture in base64."""


class EmotionsRequest(BaseModel):
    """Body of `/iot/emotions`: with `video_clip` a story is told, with `images` each is judged."""

    model_config = _DOCSTRINGS

    event_id: str | None = None
    """Echoed; required with a clip."""
    video_clip: Base64Text | None = None
    """An MP4, QuickTime, 3GP or WebM file in base64."""
    metadata: ClipMetadata | None = None
    employee_id: str | None = None
    images: list[Frame] | None = None
    prompt: str | None = None
    """Instruction to a vision-language model, where one is configured."""
    options: dict[str, Any] | None = None


@described
class IotStates(TypedDict):
    """`loaded`, `loading`, `missing` or `down`, and `not_configured` where there is no VLM."""

    embedding: str
    vlm: str
    emotions: str


@described
class IotHealth(TypedDict):
    """Whether faces can be vectorised."""

    status: Literal["healthy", "degraded", "unhealthy"]
    gpu: Literal["available", "unavailable"]
    models: IotStates


@described
class EmbeddingModel(TypedDict):
    """What makes face vectors."""

    status: Literal["ready", "not_ready"]
    model: str
    engine: str | None


@described
class EmotionModel(TypedDict):
    """What tells stories."""

    status: Literal["ready", "not_ready"]
    backend: str
    model: str


@described
class IotModelPair(TypedDict):
    """The models by what they do."""

    embedding: EmbeddingModel
    emotion: EmotionModel


@described
class IotModels(TypedDict):
    """The models behind this API and their states."""

    status: Literal["ok"]
    timestamp: str
    """ISO 8601, UTC."""
    models: IotModelPair
    gpu_available: bool


@described
class PictureQuality(TypedDict):
    """How good the picture of a face is."""

    score: float
    """0 to 1; from 0.5 on no figure is below its threshold."""
    reason: str | None
    """The worst figure below its threshold, such as `face_blurred`."""
    size: float
    """Shorter side of the face in pixels."""
    roll: float
    """Degrees."""
    yaw: float
    """Degrees, positive to the person's own left."""
    pitch: float
    """Degrees, positive with the chin raised."""
    sharpness: float
    """Variance of the Laplacian over contrast, times 1000."""
    brightness: float
    """Mean grey level, 0 to 255."""


@described
class PictureReport(TypedDict):
    """What the vectorizer saw on one picture; lengths in pixels of the upright picture."""

    index: int
    """Place in the request."""
    pose: str | None
    face: bool
    score: float | None
    """The detector's score of the face, 0 to 1."""
    box: tuple[float, float, float, float] | None
    """Left, top, width, height."""
    faces: int
    """How many large faces there are; the vector is made of one."""
    landmarks: list[tuple[float, float]] | None
    """Eyes, nose, corners of the mouth."""
    used: bool
    reason: str | None
    """Why it does not count, such as `no_face`."""
    quality: NotRequired[PictureQuality | None]
    pose_matches: NotRequired[bool | None]
    """Whether the head is held as the pose says."""
    consistency: NotRequired[float | None]
    """Cosine to the mean of the other pictures that count."""
    consistent: NotRequired[bool | None]
    """Whether it shows the same person as most of them."""


@described
class Comparison(TypedDict):
    """How alike two faces are."""

    cosine: float
    """-1 to 1."""
    threshold: float | None
    """From which on they are the same person; null where nobody has measured it."""
    same: bool | None
    first: PictureReport | None
    """What was seen on the picture, null for a vector."""
    second: PictureReport | None
    embedding_dim: int
    weights: str
    engine: str
    processing_time_ms: int


@described
class FaceVector(TypedDict):
    """The vector of the person on all pictures."""

    employee_id: str
    enrollmentProcessedFile: str
    """Little-endian float32, unit length, in base64."""
    embedding_dim: int
    model: str
    enrollmentPictureThumbnail: str
    """JPEG in base64."""
    image_count: int
    processing_time_ms: int
    mock: Literal[False]
    images: list[PictureReport]
    weights: str
    engine: str


@described
class EmotionSegment(TypedDict):
    """A stretch of one emotion; times in seconds of the clip."""

    start_s: float
    end_s: float
    emotion: str
    confidence: float
    """Mean probability, 0 to 1."""
    trend: NotRequired[Literal["rising", "falling", "steady"]]
    uncertain: NotRequired[bool]
    """Whether the confidence is too low to rely on."""
    person: NotRequired[int]
    """From left to right, from 0."""


@described
class Story(TypedDict):
    """What a clip shows."""

    event_id: str
    story: str
    inference_ms: int
    engine: str
    model: str
    fallback: bool
    """Whether this engine stands in for one that is down."""
    emotions: list[EmotionSegment]
    """In the order of time; empty where the engine tells no timeline."""
    emotions_model: str | None
    frames_analyzed: int
    duration_s: float
    truncated: bool
    """Whether the file ends early or is damaged."""


@described
class FrameEmotion(TypedDict):
    """The emotion on one picture; null where there is no face."""

    frame: int
    emotion: str | None
    confidence: float
    """0 to 1."""
    all_emotions: NotRequired[dict[str, float] | None]
    face: NotRequired[tuple[float, float, float, float] | None]
    """Left, top, width, height in pixels."""
    description: NotRequired[str]


@described
class FrameEmotions(TypedDict):
    """The emotions on a sequence of pictures."""

    event_id: str | None
    employee_id: str | None
    emotions: list[FrameEmotion]
    dominant_emotion: str
    analysis_summary: str | None
    processing_time_ms: int
    mock: Literal[False]
    engine: str
    model: str
    fallback: bool


@described
class NotImplementedAnswer(TypedDict):
    """This route does nothing, and never did."""

    status: Literal["not_implemented"]
    message: str
    note: str
