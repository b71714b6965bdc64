"""DCGM as a source: field numbers, units, blanks, a host engine that goes."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.telemetry.gpu import GpuSample, Reading, SourceLostError
from gateway.telemetry.gpu.dcgm import DcgmSource, chosen_fields
from tests.support.fake_gpu import FakeDcgm

NOW = 1_700_000_000.5
OLD_DEFAULT = (100, 101, 203, 204, 150, 155, 232)  # what the replaced server asked for
FULL = GpuSample(41, 17, 9000, 81920, 312.5, 700.0, 58, NOW)
VALUES: dict[int, float | str | None] = {
    203: 41,
    204: 17,
    252: 9000,
    250: 81920,
    155: 312.5,
    157: 333.25,
    164: 700.0,
    160: 650.0,
    150: 58,
    54: "GPU-a",
}


def source(dcgm: FakeDcgm, **options: object) -> DcgmSource:
    return DcgmSource(load=dcgm.load, clock=lambda: NOW, **options)  # type: ignore[arg-type]


def test_every_figure_power_in_watts() -> None:
    assert source(FakeDcgm({0: VALUES})).read() == [Reading("GPU 0", "GPU-a", FULL)]


def test_ids_are_the_host_engines_own() -> None:
    dcgm = FakeDcgm({1: VALUES, 3: {**VALUES, 54: "GPU-b"}})
    readings = source(dcgm).read()
    assert [(one.device, one.identity) for one in readings] == [
        ("GPU 1", "GPU-a"),
        ("GPU 3", "GPU-b"),
    ]


@pytest.mark.parametrize(
    ("visible", "address", "uuids"),
    [
        ("1", None, ["GPU-b"]),
        ("GPU-b,GPU-a", None, ["GPU-b", "GPU-a"]),
        ("MIG-x", None, ["GPU-a", "GPU-b"]),
        ("1", "gpu-box:5555", ["GPU-a", "GPU-b"]),
    ],
)
def test_gpus_have_the_numbers_that_cuda_gives_them(
    visible: str, address: str | None, uuids: list[str]
) -> None:
    dcgm = FakeDcgm({1: VALUES, 3: {**VALUES, 54: "GPU-b"}})
    readings = source(dcgm, visible=visible, address=address).read()
    assert [one.identity for one in readings] == uuids


def test_where_cuda_shows_none_there_is_none() -> None:
    with pytest.raises(SourceLostError):
        source(FakeDcgm({1: VALUES}), visible="").read()


def test_the_old_field_list_changes_nothing() -> None:
    assert chosen_fields(OLD_DEFAULT) == chosen_fields(())
    assert set(chosen_fields(())) == {203, 204, 252, 250, 155, 164, 150}


def test_preferred_fields() -> None:
    dcgm = FakeDcgm({0: VALUES})
    sample = source(dcgm, field_ids=(157, 160)).read()[0].sample
    assert sample == dataclasses.replace(FULL, power_w=333.25, power_limit_w=650)
    assert not {155, 164} & set(dcgm.asked)


@pytest.mark.parametrize(
    ("field", "figure"),
    [
        (203, "gpu_util"),
        (204, "mem_util"),
        (252, "memory_used_mb"),
        (250, "memory_total_mb"),
        (155, "power_w"),
        (164, "power_limit_w"),
        (150, "temperature_c"),
    ],
)
@pytest.mark.parametrize(
    "blank",
    [None, 0x7FFFFFFFFFFFFFF0, 0x7FFFFFFFFFFFFFF2, 2.0**47, 2.0**47 + 3, "text"],
)
def test_blanks_are_null(field: int, figure: str, blank: float | str | None) -> None:
    sample = source(FakeDcgm({0: {**VALUES, field: blank}})).read()[0].sample
    assert sample == dataclasses.replace(FULL, **{figure: None})


def test_blank_identity_is_unknown() -> None:
    for blank in (None, "<<<NOT_SUPPORTED>>>"):
        assert source(FakeDcgm({0: {**VALUES, 54: blank}})).read()[0].identity is None


def test_a_lost_gpu_does_not_hide_the_others() -> None:
    dcgm = FakeDcgm({0: VALUES, 1: {}})
    assert [one.sample for one in source(dcgm).read()] == [FULL, None]
    with pytest.raises(SourceLostError):
        source(FakeDcgm({0: {}})).read()


def test_no_gpu_is_lost() -> None:
    with pytest.raises(SourceLostError):
        source(FakeDcgm({})).read()


def test_bindings_that_are_not_installed() -> None:
    dcgm = FakeDcgm({0: VALUES})
    dcgm.installed = False
    tested = source(dcgm)
    with pytest.raises(SourceLostError):
        tested.read()
    dcgm.installed = True
    assert tested.read()[0].sample == FULL
    with pytest.raises(SourceLostError):  # and the real import, which finds nothing here
        DcgmSource().read()


def test_a_host_engine_that_goes_and_returns() -> None:
    dcgm = FakeDcgm({0: VALUES})
    tested = source(dcgm, address="dcgm:5555")
    tested.read()
    tested.read()
    assert dcgm.handles == ["dcgm:5555"], "one connection serves all reads"
    dcgm.running = False
    for _ in range(2):
        with pytest.raises(SourceLostError):
            tested.read()
    assert dcgm.opened == 0
    dcgm.running = True
    assert tested.read()[0].sample == FULL
    tested.close()
    assert dcgm.opened == 0
