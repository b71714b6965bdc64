"""The rings: order, size, one source at a time, one device at a time."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.gpu import GpuSample, Reading, UnknownGpuError
from gateway.telemetry.gpu.sample import Histories

LIVE = 6.0


def sample(moment: float) -> GpuSample:
    return GpuSample(1, 2, 3, 4, 5, 6, 7, moment)


def reading(moment: float, identity: str | None = "a", device: str = "A10") -> Reading:
    return Reading(device, identity, sample(moment))


def times(histories: Histories, gpu: int = 0, count: int = 120, now: float = 0) -> list[float]:
    return [one.timestamp for one in histories.last(gpu, count, now).samples]


@given(total=st.integers(0, 30), size=st.integers(1, 12), count=st.integers(0, 40))
def test_the_newest_oldest_first(total: int, size: int, count: int) -> None:
    histories = Histories("nvml", size, LIVE)
    for moment in range(total):
        histories.add("nvml", [reading(moment)], moment)
    kept = list(range(total))[-size:]
    assert times(histories, count=count) == (kept[-count:] if count else [])


def test_gpu_0_always_exists() -> None:
    histories = Histories("nvml", 3, LIVE)
    empty = histories.last(0, 5, 0)
    assert (empty.device, empty.source, empty.state, empty.samples) == (None, "nvml", "lost", ())
    assert histories.indices() == [0]
    with pytest.raises(UnknownGpuError):
        histories.last(1, 5, 0)


def test_live_until_samples_stop() -> None:
    histories = Histories("nvml", 3, LIVE)
    histories.add("nvml", [reading(1)], 100)
    assert histories.last(0, 1, 100 + LIVE).state == "live"
    old = histories.last(0, 1, 100 + LIVE + 0.1)
    assert old.state == "lost"
    assert old.samples == (sample(1),), "the last samples stay"


def test_a_lost_gpu_ages_alone() -> None:
    histories = Histories("nvml", 3, LIVE)
    histories.add("nvml", [reading(1), reading(1, "b")], 0)
    lost = dataclasses.replace(reading(9, "b"), sample=None)
    histories.add("nvml", [reading(9), lost], 9)
    assert histories.last(0, 9, 9).state == "live"
    assert histories.last(1, 9, 9).state == "lost"
    assert times(histories, 1) == [1]


def test_another_source_starts_anew() -> None:
    histories = Histories("stub", 3, LIVE)
    histories.add("stub", [reading(1, None), reading(1, None)], 1)
    histories.add("nvml", [reading(2)], 2)
    assert times(histories) == [2]
    assert histories.last(0, 3, 2).source == "nvml"
    assert histories.indices() == [0], "the second device was the other source's"


def test_another_device_at_an_index_starts_anew() -> None:
    histories = Histories("nvml", 3, LIVE)
    histories.add("nvml", [reading(1, "a"), reading(1, "b", "H100")], 1)
    histories.add("nvml", [reading(2, "b", "H100")], 2)  # a is gone, b moved down
    assert times(histories, 0) == [2]
    assert histories.last(0, 3, 2).device == "H100"
    assert times(histories, 1) == [1]


def test_an_unknown_identity_keeps_the_ring() -> None:
    histories = Histories("nvml", 4, LIVE)
    for moment, identity in enumerate(["a", None, "a"]):
        histories.add("nvml", [reading(moment, identity)], moment)
    assert times(histories) == [0, 1, 2]
    histories.add("nvml", [reading(3, "b")], 3)
    assert times(histories) == [3]
