"""How often a key may be used: a moving window over the monotonic clock.

The library `limits` reads the limits, but its own windows are on the wall clock: one that is set
back by an hour would lock every client out for that hour.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it is imported where a limit is configured
    from limits import RateLimitItem


class MovingWindows:
    """The uses of each key within its limit's time.

    Args:
        ticks: seconds that only ever pass.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._uses: dict[str, deque[float]] = {}

    def use(self, name: str, limit: RateLimitItem) -> int | None:
        """Count a use of ``name`` and return None, or whole seconds to wait for the next one."""
        now, seconds = self._ticks(), limit.get_expiry()
        uses = self._uses.setdefault(name, deque())
        while uses and uses[0] <= now - seconds:
            uses.popleft()
        if len(uses) < limit.amount:
            uses.append(now)
            return None
        freed = uses[-limit.amount] + seconds if limit.amount else now + seconds
        return max(1, math.ceil(freed - now))
