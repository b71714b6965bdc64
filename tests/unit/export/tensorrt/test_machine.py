"""Which machines plans can be built on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from export.errors import ExportError
from export.tensorrt.machine import PlanMachine, this_machine


class Nvml:
    """Stands in for pynvml."""

    class NVMLError(Exception):
        pass

    def __init__(self, *kinds: tuple[int, int], fails: bool = False) -> None:
        self.kinds, self.fails, self.open = kinds, fails, 0

    def nvmlInit(self) -> None:
        if self.fails:
            raise self.NVMLError("no driver")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.kinds)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> list[int]:
        return list(self.kinds[handle])


TENSORRT = SimpleNamespace(__version__="10.13.3.9")


def test_gpus_of_one_kind() -> None:
    nvml = Nvml((9, 0), (9, 0))
    assert this_machine(nvml, TENSORRT) == PlanMachine("10.13.3.9", "9.0")
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("nvml", "said"),
    [
        (Nvml((9, 0), (12, 0)), "12.0, 9.0"),
        (Nvml(), "none"),
        (Nvml(fails=True), "no driver"),
    ],
)
def test_machines_without_plans(nvml: Nvml, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        this_machine(nvml, TENSORRT)
    assert nvml.open == 0
