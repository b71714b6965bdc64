"""The documented checks: order, words, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.services.lipsync.grpc.dialects import Dialect, InferRequest
from gateway.services.lipsync.grpc.validation import NO_AUDIO, NO_ENCODER, problem_of

FRAME = 2_457_600
AUDIO = 32_768
SPACE = memoryview(bytes(50 * FRAME))
GOOD = InferRequest(
    Dialect.V1, "anna", 2, visual_frames=SPACE[: 2 * FRAME], audio_features=SPACE[:AUDIO]
)


def frames(size: int) -> memoryview:
    return SPACE[:size]


def test_a_good_request_has_no_problem() -> None:
    assert problem_of(GOOD, encoder=False) is None
    assert (
        problem_of(replace(GOOD, batch_size=1, visual_frames=frames(FRAME)), encoder=True) is None
    )
    assert problem_of(replace(GOOD, batch_size=50, visual_frames=SPACE), encoder=True) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_id": ""}, "model_id is required"),
        ({"batch_size": 0}, "Invalid batch size: 0 (must be 1-50)"),
        ({"batch_size": -3}, "Invalid batch size: -3 (must be 1-50)"),
        ({"batch_size": 51}, "Invalid batch size: 51 (must be 1-50)"),
        (
            {"visual_frames": frames(FRAME)},
            "Invalid visual frames size: got 2457600 bytes, expected 4915200 bytes",
        ),
        (
            {"visual_frames": frames(0)},
            "Invalid visual frames size: got 0 bytes, expected 4915200 bytes",
        ),
        ({"raw_audio": frames(4)}, NO_ENCODER),
        ({"audio_features": frames(0)}, NO_AUDIO),
        (
            {"audio_features": frames(AUDIO - 1)},
            "Invalid audio features size: got 32767 bytes, expected 32768 bytes",
        ),
        (
            {"audio_per_frame": True},
            "Invalid audio features size: got 32768 bytes, expected 65536 bytes",
        ),
        ({"frame_format": 3}, "Invalid frame format: 3 (must be 0-2)"),
        ({"output_format": -1}, "Invalid output format: -1 (must be 0-2)"),
        ({"input_channels": 4}, "Invalid input channels: 4 (must be 3 or 6)"),
    ],
)
def test_problem(changes: dict[str, object], words: str) -> None:
    assert problem_of(replace(GOOD, **changes), encoder=False) == words  # type: ignore[arg-type]


def test_problems_are_told_in_the_documented_order() -> None:
    request = InferRequest(Dialect.V1, "", 0)
    assert problem_of(request, encoder=False) == "model_id is required"
    request = replace(request, model_id="anna")
    assert "batch size" in str(problem_of(request, encoder=False))
    request = replace(request, batch_size=1, raw_audio=frames(4), audio_features=frames(1))
    assert "visual frames" in str(problem_of(request, encoder=False))
    request = replace(request, visual_frames=frames(FRAME))
    assert problem_of(request, encoder=False) == NO_ENCODER
    # raw_audio counts, so the bad features beside it do not.
    assert problem_of(request, encoder=True) is None
    request = replace(request, raw_audio=frames(0))
    assert "audio features" in str(problem_of(request, encoder=True))


@pytest.mark.parametrize(
    ("frame_format", "channels", "size"),
    [(0, 3, FRAME // 2), (1, 6, FRAME // 2), (1, 3, FRAME // 4), (2, 6, FRAME // 4),
     (2, 3, FRAME // 8), (2, 0, FRAME // 4)],
)  # fmt: skip
def test_compact_frames(frame_format: int, channels: int, size: int) -> None:
    request = replace(
        GOOD, frame_format=frame_format, input_channels=channels, visual_frames=frames(2 * size)
    )
    assert problem_of(request, encoder=False) is None
    assert problem_of(replace(request, visual_frames=frames(size)), encoder=False)
