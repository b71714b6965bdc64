"""How long things take."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

WARM_UP = 3


def milliseconds(call: Callable[[], object], times: int) -> float:
    """Median of some calls after others that do not count: three, but not more than those."""
    for _ in range(min(WARM_UP, times)):
        call()
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        found.append((time.perf_counter() - begin) * 1e3)
    return median(found)


def per_second(call: Callable[[], int], seconds: float, clients: int = 1) -> float:
    """How many things calls finish in a second, by clients that ask without a pause.

    Each call returns how many it finished; one of them goes before and does not count.
    """
    call()
    begin = time.perf_counter()

    def loop(_: int) -> int:
        done = 0
        while time.perf_counter() < begin + seconds:
            done += call()
        return done

    with ThreadPoolExecutor(clients) as pool:
        total = sum(pool.map(loop, range(clients)))
    return total / (time.perf_counter() - begin)
