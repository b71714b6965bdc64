"""On which device a tenant is loaded: pure functions of what the devices are doing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["round-robin", "least-loaded", "dedicated"]


@dataclass(frozen=True)
class DeviceLoad:
    """One device at the moment of a decision.

    Attributes:
        device: its index.
        saturated: whether every slot is taken.
        usable: whether it passes its canary.
    """

    device: int
    resident: int = 0
    busy: int = 0
    saturated: bool = False
    usable: bool = True


@dataclass(frozen=True)
class RoundRobin:
    """Whose turn it is in a round robin.

    Attributes:
        following: device after the one that was last.
        returned: turns whose load failed; they come first, so that no device misses one.
    """

    following: int = 0
    returned: tuple[int, ...] = ()

    def take(self, devices: Sequence[int]) -> tuple[int, RoundRobin]:
        """Return the device whose turn it is among ``devices`` (not empty), and the next turn."""
        for place, device in enumerate(self.returned):
            if device in devices:
                return device, RoundRobin(
                    self.following, self.returned[:place] + self.returned[place + 1 :]
                )
        ordered = sorted(devices)
        device = next((index for index in ordered if index >= self.following), ordered[0])
        return device, RoundRobin(device + 1, self.returned)

    def give_back(self, device: int) -> RoundRobin:
        """Return the turn after ``device`` made nothing of its own."""
        return RoundRobin(self.following, (*self.returned, device))


def place(
    strategy: Strategy,
    devices: Sequence[DeviceLoad],
    turn: RoundRobin,
    tenant: str,
    preferred: int | None = None,
) -> tuple[int, RoundRobin] | None:
    """Return the device for a tenant and the next turn; None when no device is usable.

    A preferred device is taken while it is usable; otherwise the strategy decides among those
    that are. `least-loaded` counts tenants, then calls; `dedicated` always yields the same device
    for a tenant while the device is usable (rendezvous hashing: a device that comes or goes moves
    only its own tenants).
    """
    usable = [load for load in devices if load.usable]
    if not usable:
        return None
    if preferred is not None and any(load.device == preferred for load in usable):
        return preferred, turn
    if strategy == "least-loaded":
        return min(usable, key=lambda load: (load.resident, load.busy, load.device)).device, turn
    if strategy == "dedicated":
        return max(usable, key=lambda load: _weight(tenant, load.device)).device, turn
    return turn.take([load.device for load in usable])


def spread(
    residents: Sequence[int], devices: Sequence[DeviceLoad], preferred: int | None
) -> int | None:
    """Return a further device for a tenant whose own are all saturated, or None.

    Args:
        residents: devices it is on.
        devices: all devices.
        preferred: a tenant that prefers a device stays on it.
    """
    if preferred is not None:
        return None
    by_index = {load.device: load for load in devices}
    if not all(by_index[device].saturated for device in residents):
        return None
    free = [
        load
        for load in devices
        if load.usable and not load.saturated and load.device not in residents
    ]
    best = min(free, key=lambda load: (load.busy, load.resident, load.device), default=None)
    return best.device if best else None


def _weight(tenant: str, device: int) -> bytes:
    return hashlib.blake2b(f"{device}:{tenant}".encode(), digest_size=8).digest()
