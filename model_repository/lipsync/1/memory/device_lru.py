"""Which tenants' weights are on a device. Pure Python."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

PROMOTE_AFTER = 2
"""Uses from the host after which a tenant goes to the device: one alone would only push out
another one, and a copy from pinned memory costs half a millisecond."""


@dataclass
class DeviceLru:
    """Who is on the device; the others are on the host.

    Attributes:
        capacity: Bytes on the device.
    """

    capacity: int
    _device: OrderedDict[int, int] = field(default_factory=OrderedDict)
    _host: dict[int, int] = field(default_factory=dict)
    _uses: dict[int, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Bytes on the device."""
        return sum(self._device.values())

    def on_device(self, key: int) -> bool:
        """Whether it is on the device."""
        return key in self._device

    def add(self, key: int, size: int) -> list[int]:
        """Put a tenant on the device.

        Returns:
            Who goes to the host for it, least recently used first.

        Raises:
            ValueError: It is larger than the device.
        """
        if size > self.capacity:
            raise ValueError(f"{size} bytes do not fit into {self.capacity}")
        leaving = self._leave(self.capacity - size)
        self._device[key] = size
        return leaving

    def use(self, key: int) -> bool:
        """Note a use; whether the tenant has earned its way from the host to the device."""
        if key in self._device:
            self._device.move_to_end(key)
            return False
        self._uses[key] = self._uses.get(key, 0) + 1
        return self._uses[key] >= PROMOTE_AFTER and self._host.get(key, 0) <= self.capacity

    def promote(self, key: int) -> list[int]:
        """Move a tenant from the host to the device; return as `add`."""
        self._uses.pop(key, None)
        return self.add(key, self._host.pop(key))

    def demote(self, key: int) -> None:
        """Move a tenant to the host, if it is on the device."""
        if key in self._device:
            self._host[key] = self._device.pop(key)

    def resize(self, capacity: int) -> list[int]:
        """Change the capacity; return as `add`."""
        self.capacity = max(0, capacity)
        return self._leave(self.capacity)

    def squeeze(self, key: int) -> list[int]:
        """Take a tenant's own size off the capacity: there is less than was thought.

        Returns:
            Who goes to the host so that the tenant can stay; as `add`.
        """
        if key not in self._device:
            return []
        self._device.move_to_end(key)
        size = self._device[key]
        return self.resize(max(size, self.used - size))

    def remove(self, key: int) -> None:
        """Forgets a tenant."""
        self._device.pop(key, None)
        self._host.pop(key, None)
        self._uses.pop(key, None)

    def _leave(self, most: int) -> list[int]:
        """Move the least recently used to the host until the others take `most` bytes."""
        leaving = []
        while self.used > most:
            other, size = self._device.popitem(last=False)
            self._host[other] = size
            leaving.append(other)
        return leaving
