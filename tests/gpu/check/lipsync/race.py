"""Weights that move between host and device while four threads compute with them."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.gpu.check.lipsync.bench import MIN_PSNR, ask, engine, psnr, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.support.lipsync_tenants import audio, frames

TENANTS, THREADS = 4, 4
ROOM = 1.5
"""Tenants that fit on the device: nearly every second call of one moves another one away."""
LEAST_CALLS = 15
"""Of each thread, however slow the device is."""
NUMBERS = 12_154_048
"""In a tenant's weights at full width."""
COPIES = 200
"""Of weights, by each thread."""


def check(section: Section, options: Options) -> None:
    """Race with frames, then with weights alone, of which every number is looked at.

    Raises:
        AssertionError: an answer or a number was not the tenant's own, or weights did not move.
    """
    seen = _frames(section, options)
    section.note("calls", seen.calls)
    section.note("calls for a tenant that was off the device", seen.away)
    section.note("wrong answers", len(seen.wrong))
    assert not seen.wrong, f"{len(seen.wrong)} of {seen.calls} answers are wrong: {seen.wrong[0]}"
    assert all(seen.moved), "a tenant never was off the device"
    copies = _weights(options)
    section.note("copies of weights, every number of them right", copies)
    section.headline = (
        f"{seen.calls} calls, {seen.away} for tenants off the device, and {copies} copies of "
        "weights: none wrong"
    )


@dataclass
class _Seen:
    """What all threads saw."""

    calls: int = 0
    away: int = 0
    moved: list[bool] = field(default_factory=lambda: [False] * TENANTS)
    wrong: list[str] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.Lock)

    def note(self, tenant: int, away: bool, agreement: float) -> None:
        with self._lock:
            self.calls += 1
            self.away += away
            self.moved[tenant] |= away
            if not agreement >= MIN_PSNR:
                self.wrong.append(f"tenant {tenant}, {agreement:.1f} dB")


def _frames(section: Section, options: Options) -> _Seen:
    """Four threads ask four tenants at random."""
    found, seen = tenants(options, TENANTS), _Seen()
    picture, sound = frames(1), audio()
    expected = [tenant.plain(picture, sound) for tenant in found]
    section.note("PSNR between tenants", f"{_apart(expected):.1f} dB")
    assert _apart(expected) < MIN_PSNR - 10, "the tenants cannot be told from each other"
    room = int(ROOM * found[0].blob.flat().nbytes)
    with engine(options, THREADS, room, batches=(1,)) as made:
        weights = [made.load(tenant.blob) for tenant in found]
        end = time.monotonic() + 2 * options.seconds

        def work(number: int) -> None:
            choice = random.Random(number)
            for call in itertools.count():
                if call >= LEAST_CALLS and time.monotonic() > end:
                    return
                one = choice.randrange(TENANTS)
                away = made.tiers.where(weights[one].tiered) != "device"
                got = ask(made, weights[one], picture, sound, number)
                seen.note(one, away, psnr(expected[one], got))

        _together(work)
    return seen


def _weights(options: Options) -> int:
    """Four threads copy five tenants' weights, of which two fit; how often.

    Each tenant's weights are one number over and over. The largest race would be seen in a frame,
    too; one of a few bytes only here.
    """
    import torch
    from memory.torch_device import open_device
    from memory.weight_tiers import WeightTiers

    device = open_device(options.device)
    numbers, copies = (NUMBERS // 64, COPIES // 10) if options.quick else (NUMBERS, COPIES)
    half = torch.float16
    tiers = WeightTiers(device, 2 * 2 * numbers, 8 * 2 * numbers)
    made = [tiers.add(lambda n=n: torch.full((numbers,), float(n), dtype=half)) for n in range(5)]

    def work(number: int) -> None:
        stream, choice = device.stream(), random.Random(number)
        with device.on(stream):
            slot = device.empty((numbers,), half)
            for _ in range(copies):
                one = choice.randrange(len(made))
                tiers.copy_to(made[one], slot, stream)
                wrong = int((slot != float(one)).sum().item())
                assert not wrong, f"{wrong} numbers of tenant {one} were not there yet"

    _together(work)
    return THREADS * copies


def _together(work: Callable[[int], None]) -> None:
    """Calls it from all threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def _apart(expected: list[np.ndarray]) -> float:
    """The largest PSNR of two tenants' answers to the same frame."""
    return max(
        psnr(one, other) for number, one in enumerate(expected) for other in expected[number + 1 :]
    )
