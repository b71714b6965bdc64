"""CUDA_VISIBLE_DEVICES is read as CUDA reads it."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.capacity.visible import IN_BUS_ORDER, cards, chosen, count_in_bus_order
from tests.support.fake_cards import CardsNvml, FakeCard

UUIDS = ("GPU-a1", "GPU-b1", "GPU-a2")
THREE = CardsNvml(*(FakeCard(uuid) for uuid in UUIDS))
SMALL, OTHER = FakeCard("MIG-1", "A100 MIG 1g.5gb"), FakeCard("MIG-2", "A100 MIG 2g.10gb")
DIVIDED = FakeCard("GPU-d", "A100", divided=True, instances=(None, SMALL, OTHER))
WHOLE = FakeCard("GPU-w", "A100", instances=(SMALL,))  # can be divided, is not


def shown(nvml: CardsNvml, visible: str | None) -> list[str]:
    return [card.handle.uuid for card in cards(nvml, visible)]


@pytest.mark.parametrize(
    ("visible", "places"),
    [
        ("", []),
        ("1", [1]),
        ("2, 0", [2, 0]),
        ("2,1,0", [2, 1, 0]),
        ("0,-1,1", [0]),
        ("-1", []),
        ("0,7,1", [0]),
        ("0,0", []),
        ("0,1,0", []),
        ("none", []),
        ("1x,2", [1, 2]),
        ("GPU-b", [1]),
        ("GPU-a2,GPU-b1", [2, 1]),
        ("GPU-a", []),  # more than one
        ("GPU-b,GPU-a,GPU-a2", [1]),
        ("GPU-b,GPU-b1", []),  # twice
        ("GPU-a1,0", [0]),
        ("0,GPU-b1", [0]),
        ("GPU-z", []),
    ],
)
def test_by_number_and_by_uuid(visible: str, places: list[int]) -> None:
    assert chosen(visible, UUIDS) == places
    assert shown(THREE, visible) == [UUIDS[place] for place in places]


entries = st.one_of(
    st.integers(-2, 4).map(str),
    st.sampled_from([*UUIDS, "GPU-a", "GPU-b", "GPU-z", "GPU-", "", " 1", "2b", "x"]),
)


@given(st.lists(entries, max_size=5).map(",".join))
@example("GPU-a1,GPU-z,GPU-z")
@example("0,7,7")
def test_as_torch_reads_it(visible: str) -> None:
    cuda = pytest.importorskip("torch").cuda
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    try:
        expected = cuda._parse_visible_devices()
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
    if expected and isinstance(expected[0], str):
        expected = cuda._transform_uuid_to_ordinals(expected, list(UUIDS))
    beyond = [place for place, number in enumerate(expected) if number >= len(UUIDS)]
    assert chosen(visible, UUIDS) == expected[: beyond[0] if beyond else None]


def test_the_variable_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert shown(THREE, None) == list(UUIDS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,0")
    assert shown(THREE, None) == ["GPU-b1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert shown(THREE, None) == []


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["MIG-1"]),  # one instance, and no whole GPU beside it
        ("1", ["GPU-w"]),
        ("0,1", ["MIG-1"]),
        ("MIG-2", ["MIG-2"]),
        ("MIG-2,MIG-1", ["MIG-2"]),
        ("MIG-", []),  # more than one
        ("GPU-d", ["MIG-1"]),
        ("MIG-9", []),
    ],
)
def test_mig_instances(
    visible: str | None, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert shown(CardsNvml(DIVIDED, WHOLE), visible) == found


def test_an_instance_knows_its_gpu() -> None:
    (one,) = cards(CardsNvml(WHOLE, DIVIDED), "MIG-2")
    assert (one.handle, one.gpu) == (OTHER, DIVIDED)


def test_numbers_mean_the_same_to_cuda_and_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    count_in_bus_order()
    assert os.environ["CUDA_DEVICE_ORDER"] == IN_BUS_ORDER["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
