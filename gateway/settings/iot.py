"""The IoT service: face vectors and emotion stories."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gateway.settings.base import Section


class EmotionSettings(Section):
    """Stories from clips."""

    triton_model: str = "emotion_story"
    """Triton model that answers."""
    networks: list[str] = ["face_detector", "expression_classifier"]
    """Triton models it calls; loaded first."""
    engine: Literal["timeline", "vlm"] = "timeline"
    """`timeline`: detector and expression classifier, narrated by rules. `vlm`: a vision-language
    model on vLLM."""
    vlm_model: str = "vlm"
    """Triton model of the engine `vlm`; loaded only for that engine."""
    fallback: bool = True
    """Whether `timeline` answers, and says so, while the VLM is down; else 503."""
    prompt: str | None = None
    """Instruction to the VLM in place of the built-in one."""
    max_tokens: int = Field(160, ge=1)
    """Longest story of the VLM in tokens, thinking not counted."""
    thinking_budget: int = Field(512, ge=0)
    """Tokens a thinking model may think."""
    temperature: float = Field(0.2, ge=0, le=2)
    """Sampling temperature of the VLM."""
    frames: int = Field(16, ge=1, le=128)
    """Frames sampled from a clip."""
    max_images: int = Field(100, ge=1)
    """Most pictures in one request (422 beyond)."""
    max_clip_bytes: int = Field(32 * 2**20, ge=1024)
    """Largest decoded clip (413 beyond)."""
    deadline_seconds: float = Field(120, gt=0)
    """Longest time for one request (504 beyond)."""


class DetectorSettings(Section):
    """What `make models` makes the face detector from."""

    weights: Path | None = None
    """ONNX file, e.g. InsightFace's `buffalo_l/det_10g.onnx`; none: the packaged CenterFace."""
    decoder: Literal["centerface", "scrfd"] | None = None
    """Family of the weights; InsightFace's det_* files are `scrfd`."""


class EmbedderSettings(Section):
    """What `make models` makes the face embedder from; vectors of two embedders do not compare."""

    weights: Path | None = None
    """ONNX file, e.g. InsightFace's `buffalo_l/w600k_r50.onnx`; none: the packaged one."""
    color: Literal["rgb", "bgr"] | None = None
    """Order of channels it wants; none: rgb with weights."""
    mean: float | None = None
    """Subtracted from 0..255; none: 127.5 with weights."""
    std: float | None = Field(None, gt=0)
    """Divides the rest; none: 127.5 with weights."""


class QualitySettings(Section):
    """How good enrolled pictures have to be (docs/services/enrollment.md)."""

    mode: Literal["report", "strict"] = "report"
    """`report`: figures are told and every face counts. `strict`: pictures below a threshold, and
    those that show somebody else than the others, do not."""
    consistency: float | None = Field(None, ge=-1, le=1)
    """Cosine to the mean of the others below which a picture shows somebody else; none: the one
    measured for the embedder, if any was."""
    same_person: float | None = Field(None, ge=-1, le=1)
    """Cosine from which `/iot/compare` says same; none: likewise."""


class IotSettings(Section):
    """The IoT API (`/iot` on the main port)."""

    port: int | None = Field(5000, ge=1, le=65535)
    """The old server's port; null: not served."""
    root_path: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Path under which a proxy serves the port, e.g. `/galaxy/gpu`, whether it takes it off or not;
    environment `ROOT_PATH`."""
    triton_model: str = "face_enrollment"
    """Triton model that makes face vectors."""
    networks: list[str] = ["face_detector", "face_embedder"]
    """Triton models it calls; loaded first."""
    pack: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Pack of InsightFace's, such as `buffalo_l`, that `make models` takes both face networks from
    in place of the next two; for non-commercial research only."""
    detector: DetectorSettings = DetectorSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    strict_images: bool = True
    """Whether one picture that cannot be read refuses the enrollment (422 naming it); else the
    others make the vector and the answer says which one did not count."""
    variants: bool = True
    """Whether five photometric variants of each picture enter the mean, as in the old server."""
    face: Literal["central", "largest", "certain"] = "central"
    """Which face of a picture counts: the largest and most central, the largest, the surest."""
    detection_side: int = Field(640, ge=32, le=2560)
    """Longer side in pixels of the copy that the detector sees."""
    extra_views: int = Field(80, ge=0, le=1000)
    """Most further looks at the pictures of one request in which no upright face is seen at once:
    quarter turns, then parts in a finer scale; shared out evenly."""
    quality: QualitySettings = QualitySettings()
    max_images: int = Field(10, ge=1, le=100)
    """Most pictures of one enrollment (422 beyond)."""
    max_image_bytes: int = Field(16 * 2**20, ge=1024)
    """Largest picture, decoded from base64 (413 beyond)."""
    max_body_bytes: int = Field(64 * 2**20, ge=1024)
    """Largest request body in bytes."""
    max_concurrent: int = Field(32, ge=1)
    """Requests in work at once."""
    max_waiting: int = Field(32, ge=0)
    """Requests that may wait for a slot; the next one is answered 503 at once."""
    slot_wait_seconds: float = Field(5.0, ge=0)
    """Longest wait for a slot before 503."""
    deadline_seconds: float = Field(55, gt=0)
    """Longest time for one enrollment (504 beyond); the old client gives up after 60 s."""
    enrollment_routes: bool = True
    """Whether the old port also has `/api/process`, `/api/embedding/{user_id}` and
    `/api/enrollment/{user_id}` for the enrollment modal's server; never with several
    `server.workers`, as a vector waits in one process's memory."""
    enrollment_seconds: float = Field(600, gt=0, le=600)
    """How long a vector made by `/api/process` can be fetched; it is written nowhere."""
    enrollment_entries: int = Field(10_000, ge=1, le=1_000_000)
    """Most vectors that wait to be fetched (503 beyond); one takes about 3 kB."""
    emotions: EmotionSettings = EmotionSettings()
    cors_origins: list[str] = ["*"]
    """Origins whose pages may call this API, as the old server allowed; empty: `server.cors`."""

    @model_validator(mode="after")
    def _one_source(self) -> IotSettings:
        if self.pack and (self.detector.weights or self.embedder.weights):
            raise ValueError("pack takes both networks: leave the weights out, or the pack")
        return self
