"""The section `vlm`: chat with the vision-language model."""

from __future__ import annotations

from pydantic import Field

from gateway.settings.base import ServiceSection


class VlmSettings(ServiceSection):
    """Chat completions (`/v1/chat` on the main port); switched on by its name in `services`."""

    port: int | None = Field(None, ge=1, le=65535)
    """A port of its own; null: below the main port's `/v1/chat` alone."""
    triton_model: str = "vlm_chat"
    """Triton model that decodes pictures and clips and asks the next one."""
    vlm_model: str = "vlm"
    """Triton model that answers; the same as `iot.emotions.vlm_model` is one model for both."""
    aliases: list[str] = []
    """Names accepted for it beside the name of its weights and `vlm_model`."""
    max_media: int = Field(8, ge=0, le=16)
    """Most pictures and clips of a request (400 beyond); how many of each, its model says."""
    max_image_bytes: int = Field(16 * 2**20, ge=1024)
    """Largest picture, decoded from base64 (413 beyond)."""
    max_clip_bytes: int = Field(32 * 2**20, ge=1024)
    """Largest clip, decoded from base64 (413 beyond)."""
    frames: int = Field(16, ge=1, le=64)
    """Frames sampled from a clip."""
    max_body_bytes: int = Field(64 * 2**20, ge=1024)
    """Largest request body in bytes."""
    max_concurrent: int = Field(16, ge=1)
    """Requests in work at once; vLLM batches them."""
    max_waiting: int = Field(16, ge=0)
    """Requests that may wait for a slot; the next one is answered 503 at once."""
    slot_wait_seconds: float = Field(10.0, ge=0)
    """Longest wait for a slot before 503."""
    deadline_seconds: float = Field(120, gt=0)
    """Longest time for one request (504 beyond)."""
