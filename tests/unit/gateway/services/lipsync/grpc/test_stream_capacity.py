"""Streams are taken while the devices make as many frames as all of them show."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.errors import BusyError
from gateway.services.lipsync.grpc.stream_capacity import StreamCapacity


def taken(capacity: StreamCapacity, most: int = 100) -> int:
    """How many streams are taken at once."""
    wait: int | None = 1
    with ExitStack() as held:
        for _ in range(most):
            try:
                held.enter_context(capacity.stream())
            except BusyError as error:
                wait = error.retry_after
                break
        count = capacity.open
    assert wait is not None
    assert 1 <= wait <= 60
    return count


@pytest.mark.parametrize(
    ("made", "share", "streams"),
    [(100, 1, 4), (99.9, 1, 3), (100, 0.5, 2), (1000, 0.95, 38), (3, 1, 1), (None, 1, 100)],
)
def test_as_many_as_the_devices_can_serve_and_always_one(
    made: float | None, share: float, streams: int
) -> None:
    refusals: list[None] = []
    capacity = StreamCapacity(lambda: made, share, lambda: refusals.append(None))
    for _ in range(2):  # whoever leaves makes room, refused ones hold none
        assert taken(capacity) == streams
        assert capacity.open == 0
    assert len(refusals) == (0 if made is None else 2)


def test_a_stream_that_fails_makes_room() -> None:
    capacity = StreamCapacity(lambda: 50.0, 1)
    with pytest.raises(ValueError, match="broken"), capacity.stream():
        raise ValueError("broken")
    assert taken(capacity) == 2
