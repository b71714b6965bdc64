"""Who leaves when there is no room: pure functions of a snapshot of the residents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Policy = Literal["lru", "lfu"]


@dataclass(frozen=True)
class Frequency:
    """Uses of a tenant, each of which loses half of its weight in a half-life.

    Attributes:
        weight: sum of the weights at ``moment``.
        moment: seconds, on the clock of the caller.
    """

    weight: float = 0.0
    moment: float = 0.0

    def at(self, now: float, half_life: float) -> float:
        """Return the weight at a later moment; the half-life in seconds."""
        return float(self.weight * 0.5 ** (max(0.0, now - self.moment) / half_life))

    def used(self, now: float, half_life: float) -> Frequency:
        """Return the frequency after one more use."""
        return Frequency(self.at(now, half_life) + 1.0, now)


@dataclass(frozen=True)
class Resident:
    """One tenant on one device.

    Attributes:
        device: index.
        memory_bytes: as the model measured it.
        last_used: seconds; the time of its load before the first use.
        loaded: seconds.
        frequency: weight of its uses now.
        held: in use, or being loaded: must not go.
        pinned: must never be evicted.
    """

    tenant: str
    device: int
    memory_bytes: int = 0
    last_used: float = 0.0
    loaded: float = 0.0
    frequency: float = 0.0
    held: bool = False
    pinned: bool = False


@dataclass(frozen=True)
class Limits:
    """Bounds of what is resident; None: no bound.

    Attributes:
        max_models: residents over all devices.
        memory_bytes: over all devices.
        device_memory_bytes: on each device.
        policy: who leaves first.
        min_residency: seconds after its load in which a resident leaves only if nobody else can.
    """

    max_models: int
    memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    policy: Policy = "lfu"
    min_residency: float = 0.0


@dataclass(frozen=True)
class Decision:
    """What has to happen before a tenant may be loaded.

    Attributes:
        evict: who leaves, first to last; empty when there is room.
        verdict: `room`: the load fits once these have left; `wait`: it would, if somebody who is
            held now were released; `never`: pins and bounds leave no room for it.
    """

    evict: tuple[Resident, ...] = ()
    verdict: Literal["room", "wait", "never"] = "room"


def order(residents: Sequence[Resident], limits: Limits, now: float) -> list[Resident]:
    """Return who may leave, in the order in which they do.

    Those past their minimum residency come first; then the least recently used (`lru`), or the
    least frequently used and of those the least recently used (`lfu`).
    """

    def rank(resident: Resident) -> tuple[bool, float, float, str, int]:
        young = now - resident.loaded < limits.min_residency
        first = resident.frequency if limits.policy == "lfu" else 0.0
        return young, first, resident.last_used, resident.tenant, resident.device

    return sorted(
        (resident for resident in residents if not (resident.held or resident.pinned)), key=rank
    )


def decide(
    residents: Sequence[Resident],
    device: int | None,
    memory_bytes: int,
    limits: Limits,
    now: float,
) -> Decision:
    """Return who has to leave so that one more tenant fits, or so that all bounds hold again.

    Nobody leaves whose leaving does not help.

    Args:
        residents: all residents of all devices.
        device: where the new one goes; None: nobody is new.
        memory_bytes: of the new one, expected.
        limits: bounds.
        now: seconds.
    """
    room = _Room(residents, device, memory_bytes, limits)
    leaving: list[Resident] = []
    for resident in order(residents, limits, now):
        if room.enough():
            break
        if room.helps(resident):
            room.without(resident)
            leaving.append(resident)
    if room.enough():
        return Decision(tuple(_needed(leaving, room)))
    for resident in residents:
        if resident.held and not resident.pinned and room.helps(resident):
            room.without(resident)
    return Decision((), "wait" if room.enough() else "never")


def idle(residents: Sequence[Resident], now: float, timeout: float | None) -> Iterator[Resident]:
    """Yield those unused for longer than ``timeout`` seconds; pinned and held ones stay."""
    if timeout is None:
        return
    for resident in residents:
        if not resident.held and not resident.pinned and now - resident.last_used > timeout:
            yield resident


class _Room:
    """Count and bytes as they would be."""

    def __init__(
        self, residents: Sequence[Resident], device: int | None, memory: int, limits: Limits
    ) -> None:
        self._limits = limits
        self._count = len(residents) + (device is not None)
        self._total = sum(resident.memory_bytes for resident in residents) + memory
        self._by_device: dict[int, int] = {} if device is None else {device: memory}
        for resident in residents:
            self._by_device[resident.device] = (
                self._by_device.get(resident.device, 0) + resident.memory_bytes
            )

    def _over_anywhere(self) -> bool:
        limit = self._limits.memory_bytes
        return self._count > self._limits.max_models or (limit is not None and self._total > limit)

    def _over_on(self, device: int) -> bool:
        limit = self._limits.device_memory_bytes
        return limit is not None and self._by_device.get(device, 0) > limit

    def enough(self) -> bool:
        return not self._over_anywhere() and not any(map(self._over_on, self._by_device))

    def helps(self, resident: Resident) -> bool:
        return self._over_anywhere() or self._over_on(resident.device)

    def without(self, resident: Resident) -> None:
        self._count -= 1
        self._total -= resident.memory_bytes
        self._by_device[resident.device] -= resident.memory_bytes

    def back(self, resident: Resident) -> None:
        self._count += 1
        self._total += resident.memory_bytes
        self._by_device[resident.device] += resident.memory_bytes


def _needed(leaving: list[Resident], room: _Room) -> list[Resident]:
    """Drop those who need not leave because later ones made all the room that was missing."""
    kept = []
    for resident in leaving:
        room.back(resident)
        if not room.enough():
            room.without(resident)
            kept.append(resident)
    return kept
