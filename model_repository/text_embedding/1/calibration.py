"""What sizes of calls suit a network on the machine that it runs on: measured, then chosen.

Pure Python, no Triton. A size is tried through the calls that the model will make, so that what is
measured holds all that a call costs, on whatever engine and device the network was loaded.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine_values import Calls

MARGIN = 0.1
"""Share by which another size must be faster before the usual one is left: repeated measurements of
one size on a quiet machine differ by half of it."""
NEAR = 0.05
"""Of sizes within this share of the fastest the smallest is taken: others wait for less."""
UNSTEADY = 1.5
"""Median above this multiple of the shortest time: something else computed meanwhile."""
ROUNDS = 3
"""Fewest measurements of a size; the first one before them does not count: engines prepare
themselves for a shape that they have not seen."""
QUIET = 0.9
"""Share of a core that a computing thread gets at least where nothing else computes."""
MOST_BUSY = 0.3
"""Share of the cores that may be busy while nothing is measured: an idle Pentad takes 3 to 5 %, and
one other program on two cores half of them."""
LOOK_SECONDS = 0.4
STAT = Path("/proc/stat")
SHORT_CALL_MS = 20.0
"""Calls that are tried side by side last about so long, or there is no time for enough of them."""


@dataclass(frozen=True)
class Size:
    """A kind of call.

    Attributes:
        rows: Rows in a call.
        length: Tokens of each row; 1 where rows have none.
        in_flight: Such calls under way at the same time.
    """

    rows: int
    length: int = 1
    in_flight: int = 1


@dataclass(frozen=True)
class Figure:
    """What a size took.

    Attributes:
        size: See above.
        milliseconds: Median time of a call.
        fastest: Shortest one.
    """

    size: Size
    milliseconds: float
    fastest: float

    @property
    def steady(self) -> bool:
        """Whether the measurements agree."""
        return self.milliseconds <= UNSTEADY * self.fastest


@dataclass(frozen=True)
class Limits:
    """What may be chosen.

    Attributes:
        usual: Chosen where nothing is better by a margin.
        most: Of each value; `tokens` 0 where rows have none.
        longest_ms: Most milliseconds of a call, unless a single row takes longer: what a short
            request waits for a long one.
        lengths: Tokens of the short and of the long rows that are tried; one number where rows
            have none.
    """

    usual: Calls
    most: Calls
    longest_ms: float
    lengths: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        calls: How to call the network.
        steady: Whether the figures that decided agree in themselves; if not, they are no reason
            to leave the usual values, and are not worth keeping.
    """

    calls: Calls
    steady: bool


def choose(figures: Sequence[Figure], limits: Limits) -> Choice:
    """Choose rows, tokens and calls in flight, each by itself.

    Args:
        figures: In any order; sizes that were not tried are not chosen.
        limits: What may be chosen.
    """
    usual, steady = limits.usual, True
    alone = [figure for figure in figures if figure.size.in_flight == 1]
    short = {
        figure.size.rows: figure for figure in alone if figure.size.length == limits.lengths[0]
    }
    rows, agree = _best(short, usual.rows, limits.longest_ms)
    steady &= agree
    tokens = usual.tokens
    if tokens:
        long = {
            figure.size.rows * figure.size.length: figure
            for figure in alone
            if figure.size.length == limits.lengths[-1]
        }
        tokens, agree = _best(long, tokens, limits.longest_ms)
        steady &= agree
    beside = {
        figure.size.in_flight: figure for figure in figures if figure.size in _beside(figures)
    }
    in_flight, agree = _best(beside, usual.in_flight, float("inf"), fewest=usual.in_flight)
    steady &= agree
    best = Calls(
        min(rows, limits.most.rows),
        min(tokens, limits.most.tokens),
        min(in_flight, limits.most.in_flight),
    )
    return Choice(best, True) if steady else Choice(usual, False)


def _beside(figures: Sequence[Figure]) -> set[Size]:
    """Sizes that were tried with several calls in flight, at each number of them."""
    kinds = {
        (figure.size.rows, figure.size.length) for figure in figures if figure.size.in_flight > 1
    }
    return {figure.size for figure in figures if (figure.size.rows, figure.size.length) in kinds}


def _best(
    curve: Mapping[int, Figure], usual: int, longest_ms: float, fewest: int = 1
) -> tuple[int, bool]:
    """Return the best amount of work at once, and whether its figures agree.

    Args:
        curve: Figures by amount, such as rows in a call.
        usual: Amount that stays where nothing is better by a margin.
        longest_ms: See `Limits`.
        fewest: Smallest amount that may be chosen.
    """
    amounts = sorted(amount for amount in curve if amount >= fewest)
    if not amounts:
        return usual, True
    # More work does not take less time: where it seems so, the smaller amount was disturbed.
    times: dict[int, float] = {}
    shortest = float("inf")
    for amount in reversed(amounts):
        shortest = times[amount] = min(shortest, curve[amount].milliseconds)
    allowed = [amount for amount in amounts if times[amount] <= longest_ms] or amounts[:1]
    if usual not in allowed:
        if allowed == amounts:
            return usual, True  # it was not tried, and what was tried does not forbid it
        usual = max((amount for amount in allowed if amount < usual), default=allowed[0])
    best = max(allowed, key=lambda amount: amount / times[amount])
    if best / times[best] <= (1 + MARGIN) * usual / times[usual]:
        return usual, curve[usual].steady
    enough = (1 - NEAR) * best / times[best]
    chosen = next(amount for amount in allowed if amount / times[amount] >= enough)
    # A disturbance of some calls shifts a median: the shortest times must say so, too.
    if chosen / curve[chosen].fastest <= (1 + MARGIN) * usual / curve[usual].fastest:
        return usual, curve[usual].steady
    return chosen, curve[usual].steady and curve[chosen].steady


def measure(
    call: Callable[[int, int], None],
    limits: Limits,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Figure]:
    """Try sizes for some time.

    Args:
        call: Makes a call of so many rows of so many tokens, and waits for it.
        limits: What sizes there are.
        seconds: How long it may last; a call that has begun is finished.
        clock: Seconds of a clock.

    Raises:
        Exception: What `call` raises.
    """
    sweeps = [(_sizes(limits.most.rows, limits.usual.rows, limits.lengths[0]), limits.usual.rows)]
    if limits.usual.tokens:
        length = limits.lengths[-1]  # of few tokens, there are as many rows as a call may have
        most = min(limits.most.tokens // length, limits.most.rows)
        usual = min(limits.usual.tokens // length, limits.most.rows)
        sweeps.append((_sizes(most, usual, length), usual))
    sweeps = [sweep for sweep in sweeps if len(sweep[0]) > 1]
    share = seconds / (len(sweeps) + 1)
    end = clock() + seconds
    figures: list[Figure] = []
    for sizes, usual in sweeps:
        if clock() < end:
            figures += _sweep(call, sizes, usual, limits.longest_ms, share, clock)
    quick = [figure.size for figure in figures if figure.milliseconds <= SHORT_CALL_MS]
    size = max(quick, key=lambda size: size.rows * size.length, default=Size(1, limits.lengths[0]))
    usual = limits.usual.in_flight
    several = [
        Size(size.rows, size.length, count)
        for count in sorted({usual, usual + 1, 2 * usual})
        if count <= limits.most.in_flight
    ]
    if len(several) > 1 and clock() < end:
        figures = [figure for figure in figures if figure.size not in several]
        figures += _sweep(call, several, 0, float("inf"), share, clock)
    return figures


def _sizes(most: int, usual: int, length: int) -> list[Size]:
    powers = (2**power for power in range(most.bit_length()))
    rows = {count for count in powers if count <= most} | {usual}
    return [Size(count, length) for count in sorted(rows)]


def _sweep(
    call: Callable[[int, int], None],
    sizes: Sequence[Size],
    usual: int,
    longest_ms: float,
    seconds: float,
    clock: Callable[[], float],
) -> list[Figure]:
    """Try sizes in turn, again and again: what disturbs for a while disturbs all of them.

    Where there is no time for all, the smallest ones are left out rather than the usual one,
    without which there is nothing to compare with; it may take longer for that.

    Args:
        call: As of `measure`.
        sizes: In ascending order.
        usual: Rows of the usual size.
        longest_ms: See `Limits`.
        seconds: How long it should last.
        clock: Seconds of a clock.
    """
    end = clock() + seconds
    too_long = 2 * longest_ms / 1e3  # also on a machine that does something else beside it
    costs: dict[Size, float] = {}
    long: list[Figure] = []
    for size in sizes:  # the round that does not count tells which sizes there is time for
        first = _time(call, size, clock)
        if costs and first > too_long:
            first = min(first, _time(call, size, clock))  # the first call may prepare something
            if first > too_long:
                long.append(Figure(size, first * 1e3, first * 1e3))
                break
        needed = size.rows <= usual
        fitting = _fitting(costs, first, seconds if needed else end - clock(), drop=needed)
        if fitting is None:
            if needed and costs and first > longest_ms / 1e3:  # no choice, which is to be told
                first = min(first, _time(call, size, clock))
                long.append(Figure(size, first * 1e3, first * 1e3))
            break
        costs = {**fitting, size: first}
    took: dict[Size, list[float]] = {size: [] for size in costs}
    for number in range(4 * ROUNDS):
        if clock() >= end and number >= ROUNDS:
            break
        for size, times in took.items():
            times.append(_time(call, size, clock))
    kept = [
        Figure(size, statistics.median(times) * 1e3, min(times) * 1e3)
        for size, times in took.items()
    ]
    return kept + long if kept else []


def _fitting(
    costs: Mapping[Size, float], more: float, seconds: float, *, drop: bool
) -> dict[Size, float] | None:
    """Return the sizes that there is time for beside one more; None if there is none for that.

    Args:
        costs: Seconds of a call by size, in ascending order.
        more: Seconds of a call of the size beside them.
        seconds: That are left.
        drop: Whether smaller sizes are left out for it, but for one to compare it with.
    """
    kept = dict(costs)
    while ROUNDS * (sum(kept.values()) + more) > seconds:
        if not drop or len(kept) <= 1:
            return None
        del kept[next(iter(kept))]
    return kept


def disturbed(seconds: float = 0.02) -> bool:
    """Whether others compute: the machine does, or this thread gets too little of a core.

    The second look sees what the kernel does not tell: quotas, and other guests of a virtual host.
    """
    before = _core_ticks()
    time.sleep(LOOK_SECONDS)
    busy, all_ = (late - early for late, early in zip(_core_ticks(), before, strict=True))
    if busy > MOST_BUSY * all_:
        return True
    begin, used = time.perf_counter(), time.thread_time()
    while time.perf_counter() - begin < seconds:
        pass
    return time.thread_time() - used < QUIET * (time.perf_counter() - begin)


def _core_ticks() -> tuple[int, int]:
    """Busy and all ticks of all cores so far; zeros where the kernel does not tell."""
    try:
        with STAT.open() as lines:
            ticks = [int(word) for word in lines.readline().split()[1:9]]
        return sum(ticks) - sum(ticks[3:5]), sum(ticks)  # without idle and iowait
    except (OSError, ValueError):
        return 0, 0


def _time(call: Callable[[int, int], None], size: Size, clock: Callable[[], float]) -> float:
    """Seconds of a call; of several side by side, the mean over two of each."""
    if size.in_flight == 1:
        begin = clock()
        call(size.rows, size.length)
        return clock() - begin

    def twice(_: int) -> None:
        call(size.rows, size.length)
        call(size.rows, size.length)

    with ThreadPoolExecutor(size.in_flight) as threads:
        begin = clock()
        list(threads.map(twice, range(size.in_flight)))
        return (clock() - begin) / 2
