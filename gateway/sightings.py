"""For how long things have been the same, by this process's own watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

H = TypeVar("H", bound=Hashable)


class Sightings:
    """Remembers since when it has seen each thing.

    What another process has written (a lease that it renews, a folder that it fills) is judged like
    this, because no date tells: this machine's clock may be set, and the other's may be wrong.

    Args:
        gap: a look that comes so many seconds after the one before begins anew: nothing could be
            seen meanwhile, or this process stood still.
        ticks: seconds that only ever pass.
    """

    def __init__(
        self, gap: float = float("inf"), ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._gap, self._ticks = gap, ticks
        self._since: dict[Hashable, float] = {}
        self._looked = ticks()

    def ages(self, seen: Iterable[H]) -> Mapping[H, float]:
        """Return for how many seconds each of those ``seen`` now has been seen in every look."""
        now = self._ticks()
        known = self._since if now - self._looked <= self._gap else {}
        since = {item: known.get(item, now) for item in seen}
        self._since, self._looked = dict(since.items()), now
        return {item: now - begin for item, begin in since.items()}
