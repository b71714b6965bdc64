"""How many streams with deadlines the devices can serve in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import BusyError

FRAMES_PER_SECOND = 25
MAX_RETRY_AFTER = 60  # seconds
_RECENT = 0.1  # weight of the last stream in the mean length


class StreamCapacity:
    """Takes streams in while the devices make as many frames as all of them show.

    Args:
        made: frames a second that all devices make when they are busy; None: not known yet.
        share: of it that streams may have.
        on_reject: told of each refusal.
    """

    def __init__(
        self,
        made: Callable[[], float | None],
        share: float,
        on_reject: Callable[[], None] = lambda: None,
    ) -> None:
        self._made = made
        self._share = share
        self._on_reject = on_reject
        self._seconds = 0.0  # of a stream, a moving average
        self.open = 0

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream for the block.

        The first one is always taken: it makes nobody else late.

        Raises:
            BusyError: with it others would be late; `retry_after` is when one of them should end.
        """
        made = self._made()
        needed = (self.open + 1) * FRAMES_PER_SECOND
        if self.open and made is not None and needed > self._share * made:
            self._on_reject()
            wait = math.ceil(self._seconds / self.open)
            raise BusyError(
                "All devices are busy with streams - retry later",
                retry_after=min(max(1, wait), MAX_RETRY_AFTER),
            )
        self.open += 1
        begin = time.monotonic()
        try:
            yield
        finally:
            self.open -= 1
            seconds, known = time.monotonic() - begin, self._seconds
            self._seconds = known + _RECENT * (seconds - known) if known else seconds
