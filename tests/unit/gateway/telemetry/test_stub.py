"""The stub's figures stay within the documented ranges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.gpu.selection import StubSource


@given(st.floats(0, 4e9))
def test_documented_figures(now: float) -> None:
    (reading,) = StubSource(lambda: now).read()
    sample = reading.sample
    assert reading.device == "virtual-gpu"
    assert sample is not None
    assert sample.gpu_util is not None
    assert 25 <= sample.gpu_util <= 30
    assert sample.mem_util == sample.gpu_util / 2
    assert (sample.memory_used_mb, sample.memory_total_mb) == (1024, 8192)
    assert sample.power_w is not None
    assert 150 <= sample.power_w <= 160
    assert sample.power_limit_w == 250
    assert sample.temperature_c is not None
    assert 45 <= sample.temperature_c <= 47
    assert sample.timestamp == now


def test_they_move() -> None:
    moments = iter(range(0, 60, 5))
    source = StubSource(lambda: next(moments))
    utilisations = {reading.sample.gpu_util for _ in range(10) for reading in source.read()}
    assert len(utilisations) > 4
