"""A device as slow as CUDA allows: nothing is done before somebody waits for it.

Work on a stream is queued and done in order once the thread, or another stream, waits for an event
or the stream. So whatever is read before it was written, or overwritten before it was read, gives
wrong numbers here each time, and not once in a thousand times as on a card.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from memory.torch_device import CpuDevice


class LazyStream:
    """Work in order, most of it not done yet."""

    def __init__(self, device: LazyDevice, hasty: bool) -> None:
        self._device = device
        self._hasty = hasty
        self._work: list[Callable[[], None]] = []
        self.done = 0

    def add(self, call: Callable[[], None]) -> None:
        with self._device.lock:
            self._work.append(call)
            if self._hasty:
                self.synchronize()

    @property
    def length(self) -> int:
        return len(self._work)

    def finish(self, length: int) -> None:
        """Does the first `length` pieces of work, as far as they are not done."""
        with self._device.lock, torch.inference_mode():
            while self.done < length:
                call = self._work[self.done]
                self._work[self.done] = _nothing
                self.done += 1
                call()

    def wait_event(self, event: LazyEvent) -> None:
        self.add(event.reached())

    def synchronize(self) -> None:
        self.finish(self.length)


class LazyEvent:
    """A place in a stream."""

    def __init__(self) -> None:
        self._place: tuple[LazyStream, int] | None = None

    def record(self, stream: LazyStream) -> None:
        self._place = stream, stream.length

    def reached(self) -> Callable[[], None]:
        """Does everything before the event, as it is recorded now."""
        if self._place is None:
            return _nothing
        stream, length = self._place
        return lambda: stream.finish(length)

    def synchronize(self) -> None:
        self.reached()()

    def query(self) -> bool:
        return self._place is None or self._place[0].done >= self._place[1]


class LazyDevice(CpuDevice):
    """Attributes:
    ordered: False: streams do not wait for events, as if nobody had told them to.
    hasty: Every second stream does its work at once, from the first or the second one on.
    full: How often memory of the device is refused from now on.
    kept: How often memory was kept for a stream's work.
    """

    def __init__(self, ordered: bool = True, hasty: int | None = None) -> None:
        super().__init__()
        self.hasty = hasty
        self._streams = 0
        self.lock = threading.RLock()
        self.ordered = ordered
        self.full = 0
        self.kept = 0
        self._current = threading.local()
        self._places: set[int] = set()
        self._pinned: list[torch.Tensor] = []

    def stream(self) -> Any:
        made = LazyStream(self, self.hasty == self._streams % 2)
        self._streams += 1
        if not self.ordered:
            made.wait_event = lambda event: None  # type: ignore[method-assign]
        return made

    def event(self) -> Any:
        return LazyEvent()

    @contextlib.contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        before = getattr(self._current, "stream", None)
        self._current.stream = stream
        try:
            with torch.inference_mode():
                yield
        finally:
            self._current.stream = before

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if self.full:
            self.full -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        made = super().empty(shape, dtype)
        made.untyped_storage().fill_(0xFF)  # NaN; what was freed before may hold the right values
        self._places.add(made.untyped_storage().data_ptr())
        return made

    def pinned(self, size: int) -> torch.Tensor:
        made = super().pinned(size)
        made.untyped_storage().fill_(0xFF)
        self._pinned.append(made)
        self._places.add(made.untyped_storage().data_ptr())
        return made

    def copy(self, target: torch.Tensor, source: torch.Tensor) -> None:
        if source.untyped_storage().data_ptr() not in self._places:
            source = source.clone()  # CUDA has read pageable memory when it returns
        assert target.untyped_storage().data_ptr() in self._places, "a copy to pageable memory"
        self._current.stream.add(lambda: target.copy_(source))  # type: ignore[func-returns-value]

    def launch(self, replay: Callable[[], None]) -> None:
        self._current.stream.add(replay)

    def keep(self, tensor: torch.Tensor, stream: Any) -> None:
        self.kept += 1


def _nothing() -> None:
    """Work that was done."""
