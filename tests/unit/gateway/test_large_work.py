"""Work on large bodies: where it is done, how much of it at once, and its rests."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from gateway.errors import GatewayError
from gateway.large_work import LARGE, rest, worked
from gateway.settings.triton import TritonSettings
from gateway.triton import Tensor, TritonClient, client


def burn(seconds: float) -> str:
    """Use the CPU; the thread's name."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return threading.current_thread().name


async def test_small_work_is_done_at_once_and_large_work_by_one_thread() -> None:
    here = threading.current_thread().name
    assert await worked(LARGE, burn, 0) == here
    names = await asyncio.gather(*(worked(LARGE + 1, burn, 0.001) for _ in range(8)))
    assert len(set(names)) == 1
    assert here not in names


async def test_errors_are_the_callers() -> None:
    for size in (0, LARGE + 1):
        with pytest.raises(ZeroDivisionError):
            await worked(size, divmod, 1, 0)


async def test_the_thread_rests_as_long_as_it_worked() -> None:
    """Others have half of the time, however much work there is."""
    await worked(LARGE + 1, burn, 0)
    begin, spent = time.monotonic(), 0.05
    await asyncio.gather(*(worked(LARGE + 1, burn, spent) for _ in range(4)))
    assert time.monotonic() - begin >= 4 * spent + 3 * spent


async def test_work_that_takes_long_rests_in_between() -> None:
    def halves() -> float:
        burn(0.03)
        begin = time.monotonic()
        rest()
        return time.monotonic() - begin

    assert await worked(LARGE + 1, halves) >= 0.03


async def test_there_is_no_rest_in_the_loop() -> None:
    burn(0.05)
    begin = time.monotonic()
    rest()
    assert time.monotonic() - begin < 0.04


@pytest.mark.parametrize("kind", ["infer", "stream"])
async def test_large_requests_are_serialised_off_the_loop(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    threads = []
    message = client._message

    def noted(*args: object) -> bytes:
        threads.append(threading.current_thread().name)
        return message(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "_message", noted)
    triton = TritonClient(TritonSettings(url="127.0.0.1:9"))

    async def ask(tensor: Tensor) -> None:
        if kind == "infer":
            await triton.infer("m", {"X": tensor}, ("Y",), timeout=5)
        else:
            await anext(triton.stream("m", {"X": tensor}, timeout=5))

    for size in (8, 2 * LARGE):
        tensor = Tensor("UINT8", (size,), np.zeros(size, np.uint8).tobytes())
        with pytest.raises(GatewayError):
            await ask(tensor)
    await triton.close()
    here, there = threads
    assert here == threading.current_thread().name
    assert there.startswith("large-work")
