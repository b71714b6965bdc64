"""The documented checks of InferBatch, in their order and words."""

from __future__ import annotations

from gateway.services.lipsync.grpc.dialects import InferRequest

SIDE = 320  # pixels
MAX_BATCH = 50
MAX_ID = 128  # characters
AUDIO_BLOCK_BYTES = 32 * 16 * 16 * 4
FORMATS = ("FP32", "FP16", "UINT8")
ELEMENT_BYTES = (4, 2, 1)
NO_ENCODER = "Raw audio processing not available (audio encoder not initialized)"
NO_AUDIO = "Either raw_audio or audio_features must be provided"


def id_problem(model_id: str) -> str | None:
    """Return what is wrong with a tenant's id before it is looked up, or None.

    No tenant has a longer one; what nobody knows is repeated in errors, so it must be short.
    """
    if not model_id:
        return "model_id is required"
    if len(model_id) > MAX_ID:
        return f"Invalid model_id: longer than {MAX_ID} characters"
    return None


def channels(request: InferRequest) -> int:
    """Return the channels of the request's frames."""
    return request.input_channels or 6


def frame_bytes(channels: int, frame_format: int) -> int:
    """Return the bytes of one frame of 320x320 pixels."""
    return channels * SIDE * SIDE * ELEMENT_BYTES[frame_format]


def answer_bytes(request: InferRequest) -> int:
    """Return the bytes of the answer's frames."""
    return request.batch_size * frame_bytes(3, request.output_format)


def problem_of(request: InferRequest, *, encoder: bool) -> str | None:
    """Return the words of the first thing wrong with a request, or None.

    What depends on the samples of `raw_audio` shows when they are processed.

    Args:
        request: any.
        encoder: whether `raw_audio` can be served.
    """
    if problem := id_problem(request.model_id):
        return problem
    if not 1 <= request.batch_size <= MAX_BATCH:
        return f"Invalid batch size: {request.batch_size} (must be 1-{MAX_BATCH})"
    return _frames(request) or _audio(request, encoder)


def _frames(request: InferRequest) -> str | None:
    for name, value in (("frame", request.frame_format), ("output", request.output_format)):
        if not 0 <= value < len(FORMATS):
            return f"Invalid {name} format: {value} (must be 0-{len(FORMATS) - 1})"
    if request.input_channels not in (0, 3, 6):
        return f"Invalid input channels: {request.input_channels} (must be 3 or 6)"
    expected = request.batch_size * frame_bytes(channels(request), request.frame_format)
    if len(request.visual_frames) != expected:
        return _size("visual frames", len(request.visual_frames), expected)
    return None


def _audio(request: InferRequest, encoder: bool) -> str | None:
    if len(request.raw_audio):
        return None if encoder else NO_ENCODER
    if not len(request.audio_features):
        return NO_AUDIO
    blocks = request.batch_size if request.audio_per_frame else 1
    expected = blocks * AUDIO_BLOCK_BYTES
    if len(request.audio_features) != expected:
        return _size("audio features", len(request.audio_features), expected)
    return None


def _size(label: str, actual: int, expected: int) -> str:
    return f"Invalid {label} size: got {actual} bytes, expected {expected} bytes"
