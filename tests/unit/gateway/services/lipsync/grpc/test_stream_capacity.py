"""Streams are taken while as many frames can be made as all of them show."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.errors import BusyError
from gateway.services.lipsync.grpc.stream_capacity import StreamCapacity, StreamMeter
from gateway.services.lipsync.tenants.device import DeviceFigures


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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
    [(100, 1, 4), (99.9, 1, 3), (100, 0.5, 2), (1000, 0.95, 38), (3, 1, 1)],
)
def test_as_many_as_the_devices_can_serve_and_always_one(
    made: float, share: float, streams: int
) -> None:
    refusals: list[None] = []
    capacity = StreamCapacity(
        lambda: DeviceFigures(made, workers=2), share, lambda: refusals.append(None)
    )
    for _ in range(2):  # whoever leaves makes room, refused ones hold none
        assert taken(capacity) == streams
        assert capacity.open == 0
    assert len(refusals) == 2


@pytest.mark.parametrize("workers", [1, 2, 32])
def test_before_anything_is_known_each_worker_has_a_stream(workers: int) -> None:
    assert taken(StreamCapacity(lambda: DeviceFigures(None, workers), 0.95)) == workers


def test_the_whole_way_counts() -> None:
    """The devices make 1000 frames a second; with sound and gateway a frame takes 16 ms."""
    clock = Clock()
    capacity = StreamCapacity(lambda: DeviceFigures(1000, workers=2), 1)
    capacity.meter = StreamMeter(clock)
    assert taken(capacity) == 40
    capacity.meter.made(5, 0.08)
    assert taken(capacity) == 5  # 2 / 16 ms are 125 frames a second
    for _ in range(500):  # the encoder has become slow
        clock.now += 0.1
        capacity.meter.made(5, 0.2)
    assert taken(capacity) == 2


@pytest.mark.parametrize(("streams", "frame"), [(1, 0.008), (2, 0.011), (8, 0.02), (40, 0.004)])
def test_streams_that_keep_two_workers_busy_show_what_can_be_made(
    streams: int, frame: float
) -> None:
    """They take turns, 5 frames each: every one of them has waited for all others."""
    clock, side_by_side = Clock(), min(streams, 2)
    meter = StreamMeter(clock)
    for _ in range(600):
        clock.now += 5 * frame / side_by_side
        meter.made(5, 5 * frame * streams / side_by_side)
    can = 2 / frame
    assert meter.frames_per_second(2) == pytest.approx(can, rel=0.05)


def test_what_waits_for_its_client_costs_nothing() -> None:
    """Ten streams at 25 frames a second, 4 ms each: half of what one worker can make."""
    clock = Clock()
    meter = StreamMeter(clock)
    for _ in range(2000):
        clock.now += 0.004
        meter.made(1, 0.004)
    assert meter.frames_per_second(1) == pytest.approx(250, rel=0.05)
    assert meter.frames_per_second(4) == pytest.approx(1000, rel=0.05)


def test_a_pause_forgets_nothing_and_what_comes_after_it_counts_most() -> None:
    clock = Clock()
    meter = StreamMeter(clock)
    assert meter.frames_per_second(1) is None
    for _ in range(100):
        clock.now += 0.1
        meter.made(10, 0.1)
    clock.now += 100_000
    assert meter.frames_per_second(1) == pytest.approx(100, rel=0.05)
    for _ in range(10):
        clock.now += 0.5
        meter.made(10, 0.5)
    assert meter.frames_per_second(1) == pytest.approx(20, rel=0.15)


def test_a_stream_that_fails_makes_room() -> None:
    capacity = StreamCapacity(lambda: DeviceFigures(50.0, workers=2), 1)
    with pytest.raises(ValueError, match="broken"), capacity.stream():
        raise ValueError("broken")
    assert taken(capacity) == 2
