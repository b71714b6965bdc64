"""Where a GPU tenant's weights lie: in the device's memory, or in pinned memory of the host.

Which tenant goes where is decided by `TierPlan`, pure Python; `WeightTiers` moves the bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from lipsync_errors import TenantMemoryError

PROMOTE_AFTER = 2
"""Uses from the host after which a tenant goes to the device: one alone would only push out
another one, and a copy from pinned memory costs half a millisecond."""


@dataclass
class TierPlan:
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
        """Puts a tenant on the device.

        Returns:
            Who goes to the host for it, least recently used first.

        Raises:
            ValueError: It is larger than the device.
        """
        if size > self.capacity:
            raise ValueError(f"{size} bytes do not fit into {self.capacity}")
        leaving = []
        while self.used + size > self.capacity:
            other, bytes_ = self._device.popitem(last=False)
            self._host[other] = bytes_
            leaving.append(other)
        self._device[key] = size
        return leaving

    def use(self, key: int) -> bool:
        """Notes a use; whether the tenant has earned its way from the host to the device."""
        if key in self._device:
            self._device.move_to_end(key)
            return False
        self._uses[key] = self._uses.get(key, 0) + 1
        return self._uses[key] >= PROMOTE_AFTER

    def promote(self, key: int) -> list[int]:
        """Moves a tenant from the host to the device; returns as `add`."""
        self._uses.pop(key, None)
        return self.add(key, self._host.pop(key))

    def remove(self, key: int) -> None:
        """Forgets a tenant."""
        self._device.pop(key, None)
        self._host.pop(key, None)
        self._uses.pop(key, None)


class TieredWeights:
    """One tenant's weights; `WeightTiers` alone looks inside."""

    def __init__(self, size: int, read: Callable[[], torch.Tensor]) -> None:
        """`read` gives the weights as a flat tensor of the host, not pinned."""
        self.memory_bytes = size
        self.read = read
        self.device: torch.Tensor | None = None
        self.host: torch.Tensor | None = None


class WeightTiers:
    """The weights of one device; safe to use from any thread."""

    def __init__(self, device: torch.device, capacity: int) -> None:
        """`capacity` is in bytes."""
        self._device = device
        self._plan = TierPlan(capacity)
        self._tenants: dict[int, TieredWeights] = {}
        self._lock = threading.Lock()

    @property
    def device_bytes(self) -> int:
        """Bytes of weights on the device."""
        with self._lock:
            return self._plan.used

    def add(self, read: Callable[[], torch.Tensor]) -> TieredWeights:
        """Puts a tenant on the device, others to the host if need be.

        Raises:
            TenantMemoryError: There is no room, on the device or on the host.
        """
        flat = read()
        weights = TieredWeights(flat.numel() * flat.element_size(), read)
        with self._lock:
            try:
                leaving = self._plan.add(id(weights), weights.memory_bytes)
            except ValueError:
                raise TenantMemoryError from None
            self._tenants[id(weights)] = weights
            try:
                self._demote(leaving)
                weights.device = flat.to(self._device, copy=True)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError):
                self._plan.remove(id(weights))
                del self._tenants[id(weights)]
                raise TenantMemoryError from None
        return weights

    def copy_to(self, weights: TieredWeights, target: torch.Tensor) -> None:
        """Copies a tenant's weights, converting their type; on the current stream of a GPU."""
        with self._lock:
            if self._plan.use(id(weights)):
                self._demote(self._plan.promote(id(weights)))
                weights.device = self._on_host(weights).to(self._device, non_blocking=True)
            source = weights.device
            if source is None:
                source = self._on_host(weights)
            elif source.is_cuda:
                # Its memory must not be given to others while the copy is under way.
                source.record_stream(torch.cuda.current_stream(self._device))
            target.copy_(source, non_blocking=True)

    def remove(self, weights: TieredWeights) -> None:
        """Frees a tenant."""
        with self._lock:
            self._plan.remove(id(weights))
            self._tenants.pop(id(weights), None)
            weights.device = weights.host = None

    def where(self, weights: TieredWeights) -> str:
        """Which tier a tenant is in: "device" or "host"."""
        with self._lock:
            return "device" if self._plan.on_device(id(weights)) else "host"

    def _demote(self, keys: list[int]) -> None:
        for key in keys:
            weights = self._tenants[key]
            self._on_host(weights)
            weights.device = None

    def _on_host(self, weights: TieredWeights) -> torch.Tensor:
        """The copy on the host; made once, for weights never change."""
        if weights.host is None:
            flat = weights.read()
            pinned = self._device.type == "cuda"
            weights.host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=pinned)
            weights.host.copy_(flat)
        return weights.host
