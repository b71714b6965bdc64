"""Which machines plans can be built on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from export.errors import ExportError
from export.tensorrt.machine import PlanMachine, this_machine
from tests.support.fake_cards import CardsNvml, FakeCard

TENSORRT = SimpleNamespace(__version__="10.13.3.9")
L40S, L4 = FakeCard("GPU-a"), FakeCard("GPU-b", name="NVIDIA L4")
HOPPER = FakeCard("GPU-h", name="NVIDIA H200", capability=(9, 0))


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_of_one_model() -> None:
    nvml = CardsNvml(L40S, FakeCard("GPU-c"))
    assert this_machine(nvml, TENSORRT) == PlanMachine("10.13.3.9", "NVIDIA L40S", "8.9")
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("nvml", "said"),
    [
        (CardsNvml(HOPPER, L40S), r"NVIDIA H200 \(9.0\), NVIDIA L40S \(8.9\)"),
        (CardsNvml(L4, L40S), r"NVIDIA L4 \(8.9\), NVIDIA L40S \(8.9\)"),
        (CardsNvml(), "none"),
        (CardsNvml(fails=True), "no driver"),
    ],
)
def test_machines_without_plans(nvml: CardsNvml, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        this_machine(nvml, TENSORRT)
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("visible", "gpu"),
    [("0,1", "NVIDIA H200"), ("2", "NVIDIA L4"), ("GPU-b", "NVIDIA L4"), ("1,-1", "NVIDIA H200")],
)
def test_a_display_card_that_cuda_does_not_show(visible: str, gpu: str) -> None:
    nvml = CardsNvml(HOPPER, FakeCard("GPU-i", HOPPER.name, capability=(9, 0)), L4)
    assert this_machine(nvml, TENSORRT, visible).gpu == gpu
    with pytest.raises(ExportError, match="of one model"):
        this_machine(nvml, TENSORRT)
    with pytest.raises(ExportError, match="here are none"):
        this_machine(nvml, TENSORRT, "")


def test_the_environment_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert this_machine(CardsNvml(HOPPER, L4), TENSORRT).gpu == "NVIDIA L4"


def test_a_mig_instance_is_a_model_of_its_own() -> None:
    instance = FakeCard("MIG-1", "NVIDIA A100 MIG 1g.5gb", capability=(0, 0))
    nvml = CardsNvml(FakeCard("GPU-d", "NVIDIA A100", 80, (8, 0), True, (instance,)))
    assert this_machine(nvml, TENSORRT) == PlanMachine("10.13.3.9", instance.name, "8.0")
