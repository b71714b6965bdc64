"""Moves tenants' weights between the device, pinned memory of the host, and their files.

All moves are on one stream of their own, so they are in order among themselves. Whoever reads
weights on another stream waits for the event of the move that brought them: a copy from pinned
memory returns before a byte of it has arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import torch
from lipsync_errors import TenantMemoryError

from memory.device_lru import DeviceLru
from memory.pinned_arena import Piece, PinnedArena
from memory.torch_device import CpuDevice


class TieredWeights:
    """One tenant's weights; `WeightTiers` alone looks inside."""

    def __init__(self, flat: torch.Tensor, read: Callable[[], torch.Tensor]) -> None:
        """`read` gives the weights as a flat tensor of the host, not pinned, as `flat` is one."""
        self.numbers = flat.numel()
        self.memory_bytes = self.numbers * flat.element_size()
        self.dtype = flat.dtype
        self.read = read
        self.device: torch.Tensor | None = None
        self.ready: Any = None
        """Event after which `device` holds the weights."""
        self.host: Piece | None = None
        self.moving = False
        """Whether a thread brings them to the device."""


Leaving = tuple[TieredWeights, torch.Tensor]
"""A tenant that leaves the device, with the tensor that was there."""


class WeightTiers:
    """The weights of one device; safe to use from any thread.

    The lock is held while places are decided, never while bytes move or are waited for.
    """

    def __init__(self, device: CpuDevice, capacity: int, host_capacity: int) -> None:
        """Capacities are in bytes: of the device, and of pinned memory."""
        self._device = device
        self._lru = DeviceLru(capacity)
        self._arena = PinnedArena(host_capacity, device.pinned)
        self._tenants: dict[int, TieredWeights] = {}
        self._lock = threading.Lock()
        self._stream = device.stream()

    @property
    def device_bytes(self) -> int:
        """Bytes of weights on the device."""
        with self._lock:
            return self._lru.used

    @property
    def host_bytes(self) -> int:
        """Bytes of pinned memory that weights take."""
        return self._arena.pinned_bytes - self._arena.free_bytes

    def where(self, weights: TieredWeights) -> str:
        """Where a tenant is read from: "device", "host" (pinned memory) or "file"."""
        with self._lock:
            if self._lru.on_device(id(weights)):
                return "device"
            return "file" if weights.host is None else "host"

    def add(self, read: Callable[[], torch.Tensor]) -> TieredWeights:
        """Put a tenant on the device, others to the host if need be.

        Raises:
            TenantMemoryError: There is no room, although others left.
        """
        flat = read()
        weights = TieredWeights(flat, read)
        try:
            with self._lock:
                self._tenants[id(weights)] = weights
                left = self._take_off(self._lru.add(id(weights), weights.memory_bytes))
            self._store(left)
            if not self._bring(weights, flat):
                raise TenantMemoryError
        except ValueError:
            self.remove(weights)
            raise TenantMemoryError from None
        except BaseException:
            self.remove(weights)
            raise
        return weights

    def copy_to(self, weights: TieredWeights, target: torch.Tensor, stream: Any) -> None:
        """Copy a tenant's weights, converting their type; return before it is done.

        Args:
            weights: Of the tenant.
            target: Flat tensor of the device.
            stream: The calling thread's current one, which the copy is on.
        """
        with self._lock:
            earned = self._lru.use(id(weights)) and not weights.moving
            left = self._take_off(self._lru.promote(id(weights))) if earned else []
            weights.moving = weights.moving or earned
        if earned:
            try:
                self._store(left)
                self._bring(weights)  # without room for it, it is read from the host
            finally:
                weights.moving = False
        if not self._copy_from_device(weights, target, stream):
            self._copy_from_host(weights, target, stream)

    def remove(self, weights: TieredWeights) -> None:
        """Frees a tenant."""
        with self._lock:
            self._lru.remove(id(weights))
            self._tenants.pop(id(weights), None)
            weights.device = None
            piece, weights.host = weights.host, None
        if piece is not None:
            self._arena.drop(piece)

    def resize(self, capacity: int) -> None:
        """Change how many bytes weights may take on the device."""
        with self._lock:
            left = self._take_off(self._lru.resize(capacity))
        self._store(left)

    def _take_off(self, keys: Iterable[int]) -> list[Leaving]:
        """Take tenants off the device, as planned; called with the lock."""
        leaving: list[Leaving] = []
        for key in keys:
            weights = self._tenants[key]
            if weights.device is not None:
                leaving.append((weights, weights.device))
            weights.device = None
        return leaving

    def _store(self, left: list[Leaving]) -> None:
        """Copy tenants that left the device to pinned memory, while there is some.

        The others are read from their files when they are needed.
        """
        while left:
            weights, source = left.pop(0)  # brought there on the same stream
            piece = self._arena.take(weights.memory_bytes)
            if piece is None:
                continue
            self._arena.use(piece)
            with self._device.on(self._stream):
                self._wait(self._stream, piece.pending)
                self._device.copy(piece.memory.view(weights.dtype), source)
                self._arena.used(piece, self._mark(self._stream))
            with self._lock:
                wanted = id(weights) in self._tenants and weights.device is weights.host is None
                if wanted:
                    weights.host = piece
            if not wanted:
                self._arena.drop(piece)

    def _bring(self, weights: TieredWeights, flat: torch.Tensor | None = None) -> bool:
        """Copy weights to their place on the device; whether there was memory for it.

        Where there is less than was planned with, others leave for good, and it is tried again.
        """
        if self._place(weights, flat):
            return True
        with self._lock:
            left = self._take_off(self._lru.squeeze(id(weights)))
        self._store(left)
        if self._place(weights, flat):
            return True
        with self._lock:
            self._lru.demote(id(weights))
        return False

    def _place(self, weights: TieredWeights, flat: torch.Tensor | None) -> bool:
        """Allocates and copies; False when there is no memory."""
        with self._device.on(self._stream):
            try:
                target = self._device.empty((weights.numbers,), weights.dtype)
            except Exception as error:
                if self._device.is_memory_error(error):
                    return False
                raise
            if flat is None:
                self._copy_from_host(weights, target, self._stream)
            else:
                self._device.copy(target, flat)
            ready = self._mark(self._stream)
        with self._lock:
            if not self._lru.on_device(id(weights)):  # freed, or pushed out again meanwhile
                return True
            weights.device, weights.ready = target, ready
            piece, weights.host = weights.host, None
        if piece is not None:
            self._arena.drop(piece)
        return True

    def _copy_from_device(self, weights: TieredWeights, target: torch.Tensor, stream: Any) -> bool:
        with self._lock:
            source, ready = weights.device, weights.ready
        if source is None:
            return False
        self._wait(stream, (ready,))
        self._device.copy(target, source)
        self._device.keep(source, stream)
        return True

    def _copy_from_host(self, weights: TieredWeights, target: torch.Tensor, stream: Any) -> None:
        with self._lock:
            piece = weights.host
            if piece is not None:
                self._arena.use(piece)
        if piece is None:
            self._device.copy(target, weights.read())
            return
        self._wait(stream, piece.pending)
        self._device.copy(target, piece.memory.view(weights.dtype))
        self._arena.used(piece, self._mark(stream))

    def _mark(self, stream: Any) -> Any:
        """Return an event after all that is on a stream now."""
        event = self._device.event()
        event.record(stream)
        return event

    @staticmethod
    def _wait(stream: Any, events: Iterable[Any]) -> None:
        for event in events:
            stream.wait_event(event)
