"""Small requests that travel together: order, errors, cancellation."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.errors import DeadlineError, UnavailableError
from gateway.triton.coalesce import Coalescer, Crowd
from gateway.triton.tensors import Array, text_tensor
from tests.support.fake_triton import FakeTriton
from tests.support.waiting import PATIENCE, until


def coalescer(triton: FakeTriton, calls: int = 1, rows: int = 16) -> Coalescer:
    return Coalescer(triton, "text_embedding", ("EMBEDDING",), calls, rows)


async def send(joiner: Coalescer, *texts: str, timeout: float = PATIENCE) -> Array:
    return (await joiner.infer({"TEXT": text_tensor(texts)}, timeout))["EMBEDDING"]


async def test_alone_is_a_call_of_its_own() -> None:
    triton = FakeTriton()
    found = await send(coalescer(triton), "abc")
    np.testing.assert_array_equal(found, [[3, 97]])
    assert triton.calls == [("text_embedding", 1)]


async def test_what_waits_travels_together_and_everybody_gets_their_rows() -> None:
    triton = FakeTriton(delay=0.02)
    joiner = coalescer(triton)
    texts = [("a",), ("bb", "c"), ("ddd",), ("e", "ff", "g"), ("hhhh",)]
    answers = await asyncio.gather(*(send(joiner, *group) for group in texts))
    for group, answer in zip(texts, answers, strict=True):
        np.testing.assert_array_equal(answer, [[len(t), ord(t[0])] for t in group])
    assert triton.calls == [("text_embedding", 1), ("text_embedding", 7)]


async def test_a_joined_call_is_bounded() -> None:
    triton = FakeTriton(delay=0.01)
    joiner = coalescer(triton, rows=4)
    await asyncio.gather(*(send(joiner, "a", "b") for _ in range(6)))
    assert [rows for _, rows in triton.calls] == [4, 4, 4]


async def test_calls_up_to_the_limit_are_not_delayed() -> None:
    triton = FakeTriton(delay=0.02)
    joiner = coalescer(triton, calls=3)
    await asyncio.gather(*(send(joiner, "a") for _ in range(3)))
    assert [rows for _, rows in triton.calls] == [1, 1, 1]


async def test_an_error_reaches_everybody_who_shared_the_call() -> None:
    triton = FakeTriton()
    triton.gate.clear()
    joiner = coalescer(triton)
    first = asyncio.create_task(send(joiner, *"abcdefgh"))
    await until(lambda: triton.calls)
    others = [asyncio.create_task(send(joiner, "b")) for _ in range(3)]
    await asyncio.sleep(0.005)
    triton.failures.append(UnavailableError(retry_after=2))
    triton.gate.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert not isinstance(results[0], BaseException)
    for result in results[1:]:
        assert isinstance(result, UnavailableError)
        assert result.retry_after == 2
    np.testing.assert_array_equal(await send(joiner, "abc"), [[3, 97]])


async def test_one_who_leaves_does_not_hurt_the_others() -> None:
    triton = FakeTriton()
    triton.gate.clear()
    joiner = coalescer(triton)
    tasks = [asyncio.create_task(send(joiner, *"abcdefgh"))]
    await until(lambda: triton.calls)
    tasks += [asyncio.create_task(send(joiner, text)) for text in ("bb", "ccc")]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    triton.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    np.testing.assert_array_equal(results[2], [[3, 99]])
    assert [rows for _, rows in triton.calls] == [8, 1]


async def test_a_call_nobody_waits_for_is_cancelled() -> None:
    triton = FakeTriton()
    here, never = triton.gate, asyncio.Event()
    here.clear()
    joiner = coalescer(triton)
    first = asyncio.create_task(send(joiner, *"abcdefgh"))
    await until(lambda: triton.calls)
    triton.gate = never
    gone = [asyncio.create_task(send(joiner, "b")) for _ in range(2)]
    await asyncio.sleep(0.01)
    here.set()
    await first
    await until(lambda: len(triton.calls) == 2)  # now they travel
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await until(lambda: triton.cancelled)
    assert triton.cancelled == 1
    triton.gate = here
    np.testing.assert_array_equal(await send(joiner, "abc"), [[3, 97]])


async def test_waiting_counts_towards_the_deadline() -> None:
    triton = FakeTriton()
    triton.gate.clear()
    joiner = coalescer(triton)
    first = asyncio.create_task(send(joiner, *"abcd"))
    await until(lambda: triton.calls)
    with pytest.raises(DeadlineError):
        await send(joiner, "b", timeout=0.005)
    triton.gate.set()
    await first
    await asyncio.sleep(0.2)
    assert [rows for _, rows in triton.calls] == [4]


async def clients(joiner: Coalescer, count: int, calls: int, pause: float) -> None:
    """Clients that ask again a moment after each answer."""

    async def client(number: int) -> None:
        for turn in range(calls):
            await asyncio.sleep(pause * (0.5 + (7 * number + 3 * turn) % 11 / 11))
            await send(joiner, "a")

    await asyncio.gather(*(client(number) for number in range(count)))


@pytest.mark.parametrize("computing", [0.02, 0.05])
async def test_many_clients_share_calls(computing: float) -> None:
    triton = FakeTriton(delay=computing)
    await clients(coalescer(triton, calls=6, rows=32), 32, 20, pause=0.01)
    rows = [rows for _, rows in triton.calls]
    assert sum(rows) == 32 * 20
    later = rows[len(rows) // 3 :]
    assert sum(later) / len(later) >= 8


async def test_nobody_waits_for_a_call_that_hangs() -> None:
    triton = FakeTriton()
    triton.gate.clear()
    joiner = coalescer(triton)
    hanging = asyncio.create_task(send(joiner, *"abcdefgh"))
    await until(lambda: triton.calls)
    late = asyncio.create_task(send(joiner, "bb"))
    await until(lambda: len(triton.calls) == 2)
    assert triton.calls[1] == ("text_embedding", 1)
    triton.gate.set()
    await asyncio.gather(hanging, late)


async def test_few_clients_never_wait() -> None:
    triton = FakeTriton(delay=0.005)
    await clients(coalescer(triton, calls=6, rows=32), 5, 10, pause=0.002)
    assert [rows for _, rows in triton.calls] == [1] * 50


async def test_the_last_of_a_crowd_does_not_wait_for_it() -> None:
    triton = FakeTriton(delay=0.001)
    joiner = coalescer(triton, calls=6, rows=32)
    await asyncio.gather(*(send(joiner, "a") for _ in range(32)))
    begin = asyncio.get_running_loop().time()
    await send(joiner, "a")
    took = asyncio.get_running_loop().time() - begin
    assert took < PATIENCE / 2
    assert sum(rows for _, rows in triton.calls) == 33


def test_a_crowd_is_forgotten() -> None:
    now = [0.0]
    crowd = Crowd(lambda: now[0])
    for _ in range(64):
        now[0] += 0.001
        assert crowd.seen(1, 32) == 32
    assert crowd.share(3 / 8) == 12
    assert 0.01 < crowd.seconds_for(10) < 0.1
    now[0] += 1.0
    assert crowd.seen(1, 1) == 1.0
    assert crowd.share(3 / 8) == 1
