"""A double of NVML for what is asked of cards before anything runs on them, MIG included."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

GB = 10**9


@dataclass(frozen=True)
class FakeCard:
    """A GPU, or a MIG instance; instances lie at the given places of their GPU."""

    uuid: str
    name: str = "NVIDIA L40S"
    memory_gb: int = 48
    capability: tuple[int, int] = (8, 9)
    divided: bool = False
    instances: tuple[FakeCard | None, ...] = ()


class CardsNvml:
    """Behaves like the module ``pynvml``; cards that are not divided know nothing of MIG."""

    NVML_DEVICE_MIG_ENABLE = 1

    class NVMLError(Exception):
        """What every function may raise."""

    def __init__(self, *cards: FakeCard, fails: bool = False) -> None:
        self.cards, self.fails, self.open = cards, fails, 0

    def nvmlInit(self) -> None:
        if self.fails:
            raise self.NVMLError("no driver")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:
        return self.cards[index]

    def nvmlDeviceGetUUID(self, card: FakeCard) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: FakeCard) -> str:
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: FakeCard) -> SimpleNamespace:
        return SimpleNamespace(total=card.memory_gb * GB)

    def nvmlDeviceGetCudaComputeCapability(self, card: FakeCard) -> list[int]:
        if card not in self.cards:
            raise self.NVMLError("not of a MIG instance")
        return list(card.capability)

    def nvmlDeviceGetMigMode(self, card: FakeCard) -> list[int]:
        if not card.divided and not card.instances:
            raise self.NVMLError("Not Supported")
        return [int(card.divided), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: FakeCard) -> int:
        return len(card.instances)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: FakeCard, place: int) -> FakeCard:
        if (instance := card.instances[place]) is None:
            raise self.NVMLError("Not Found")
        return instance
