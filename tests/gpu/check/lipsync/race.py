"""Weights that move between host and device while four threads compute with them."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def check(section: Section, options: Options) -> None:
    """Ask four tenants at random from four threads; every answer must be that tenant's own.

    Raises:
        AssertionError: an answer was not, or weights did not move.
    """
    found = tenants(options, TENANTS)
    picture, sound = frames(1), audio()
    expected = [tenant.plain(picture, sound) for tenant in found]
    section.note("PSNR between tenants", f"{_apart(expected):.1f} dB")
    assert _apart(expected) < MIN_PSNR - 10, "the tenants cannot be told from each other"
    size = int(found[0].blob.manifest.blob_bytes)
    wrong: list[str] = []
    lock, calls, moves = threading.Lock(), [0] * THREADS, [0] * TENANTS
    with engine(options, THREADS, int(ROOM * size), batches=(1,)) as made:
        weights = [made.load(tenant.blob) for tenant in found]
        end = time.monotonic() + 2 * options.seconds

        def worker(number: int) -> None:
            choice = random.Random(number)
            while calls[number] < LEAST_CALLS or time.monotonic() < end:
                one = choice.randrange(TENANTS)
                before = made.tiers.where(weights[one].tiered)
                got = ask(made, weights[one], picture, sound, number)
                agreement = psnr(expected[one], got)
                with lock:
                    calls[number] += 1
                    moves[one] += before != "device"
                    if not agreement >= MIN_PSNR:
                        wrong.append(f"tenant {one}: {agreement:.1f} dB")

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(worker, range(THREADS)))
    section.note("calls", sum(calls))
    section.note("calls for a tenant that was off the device", sum(moves))
    section.note("wrong answers", len(wrong))
    assert not wrong, f"{len(wrong)} of {sum(calls)} answers are wrong, such as {wrong[0]}"
    assert all(moves), "a tenant never was off the device"
    section.headline = f"{sum(calls)} calls, {sum(moves)} of tenants off the device, none wrong"


def _apart(expected: list[np.ndarray]) -> float:
    """The largest PSNR of two tenants' answers to the same frame."""
    return max(
        psnr(one, other) for number, one in enumerate(expected) for other in expected[number + 1 :]
    )
