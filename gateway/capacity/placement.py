"""Which models go where, what they take, and what does not fit. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.capacity.facts import KEPT_FREE


@dataclass(frozen=True)
class Item:
    """Something that takes memory of a device.

    Attributes:
        what: model, or what else it is.
        instances: on this device.
        bytes: of all of them.
    """

    what: str
    engine: str
    instances: int
    bytes: int


@dataclass(frozen=True)
class TenantRoom:
    """Lip-sync tenants on one device."""

    model: str
    fit: int
    wanted: int
    bytes: int

    @property
    def resident(self) -> int:
        """How many are there at most."""
        return min(self.fit, self.wanted)


@dataclass
class Device:
    """A GPU, or the host.

    Attributes:
        name: ``GPU 0``, ``host``.
        capacity: bytes.
        lipsync_room: bytes that the others leave to lip-sync's slots and tenants; 0: it is alone,
            not there, or has a budget of its own.
    """

    name: str
    capacity: int
    items: list[Item] = field(default_factory=list)
    tenants: list[TenantRoom] = field(default_factory=list)
    lipsync_room: int = 0

    @property
    def usable(self) -> int:
        """Bytes to plan with."""
        return int(self.capacity * (1 - KEPT_FREE))

    @property
    def fixed(self) -> int:
        """Bytes of everything but tenants."""
        return sum(item.bytes for item in self.items)

    @property
    def used(self) -> int:
        """Bytes of everything."""
        return self.fixed + sum(room.resident * room.bytes for room in self.tenants)

    def add(self, what: str, engine: str, instances: int, size: float) -> None:
        """Put something there."""
        self.items.append(Item(what, engine, instances, int(size)))


@dataclass
class Sizing:
    """The answer.

    Attributes:
        devices: GPUs first, the host last.
        problems: what does not fit; the start is refused.
    """

    devices: list[Device]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether it may be started."""
        return not self.problems


def tenants_that_fit(free: int, size: int, *, slots: int = 0, budget: int = 0) -> int:
    """Return how many tenants have room, 0 where not even the slots have.

    Args:
        free: bytes of the device that nothing else takes.
        size: bytes of a tenant.
        slots: bytes of the places that compute them.
        budget: bytes that weights may take; 0: what is there.
    """
    room = free - slots
    return max(0, min(budget or room, room)) // size


def judge(device: Device) -> list[str]:
    """Return what does not fit on a device, with the way out."""
    over = device.fixed - device.usable
    if over <= 0:
        return []
    largest = max(device.items, key=lambda item: item.bytes)
    return [
        f"{device.name}: {device.fixed / 1e9:.1f} GB are needed without any tenant, "
        f"{device.usable / 1e9:.1f} GB can be used; the largest part is {largest.what} "
        f"({largest.bytes / 1e9:.1f} GB)"
    ]
