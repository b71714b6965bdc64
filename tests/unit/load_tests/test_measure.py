import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from load_tests import measure
from load_tests.client import Address, Answer, TransportError, build_request
from load_tests.measure import closed_loop, http_load, percentile


def test_percentile_is_nearest_rank():
    values = [float(x) for x in range(1, 101)]
    assert percentile(values, 0.50) == 50
    assert percentile(values, 0.95) == 95
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.5))


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes only while everybody sleeps, and then at once.

    What is measured does not depend on what else the machine does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()


Run = Callable[[Coroutine[Any, Any, measure.Load]], measure.Load]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a measurement in such a loop, by its time."""

    def measured(work: Coroutine[Any, Any, measure.Load]) -> measure.Load:
        with contextlib.closing(Clock()) as loop:
            times = SimpleNamespace(perf_counter=loop.time)
            monkeypatch.setattr(measure, "time", times)
            return loop.run_until_complete(work)

    return measured


def test_closed_loop_rate_is_clients_over_latency(run: Run):
    async def send(index: int) -> Answer:
        await asyncio.sleep(0.02)
        return Answer(200, str(index).encode())

    load = run(closed_loop([send] * 4, 10, seconds=0.4, warmup=0.1, keep=2))
    assert load.rate == pytest.approx(4 / 0.02)
    assert load.errors == 0
    assert load.answers == {0: b"0", 1: b"1"}


def test_failures_are_counted_and_not_timed(run: Run):
    async def send(index: int) -> Answer:
        await asyncio.sleep(0.001)
        if index == 0:
            raise TransportError("gone")
        return Answer(503 if index == 1 else 200, b"")

    load = run(closed_loop([send], 4, seconds=0.1, warmup=0, backoff=0))
    assert load.statuses[0] > 0
    assert load.statuses[503] > 0
    assert load.errors == load.statuses[0] + load.statuses[503]
    assert len(load.latencies) == load.statuses[200]


def test_a_server_slower_than_the_window_is_still_measured(run: Run):
    async def send(index: int) -> Answer:
        await asyncio.sleep(0.2)
        return Answer(200, b"")

    load = run(closed_loop([send] * 3, 4, seconds=0.05, warmup=0.05))
    assert len(load.latencies) == 3
    assert load.rate == pytest.approx(3 / 0.2)


async def test_health_is_probed_beside_the_load():
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                healthy = b"GET /health" not in head or len(probed) < 3
                if b"GET /health" in head:
                    probed.append(head)
                status = b"200 OK" if healthy else b"503 Busy"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()

    probed: list[bytes] = []
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
    load = await http_load(
        address,
        [build_request(address, "GET", "/x")],
        clients=2,
        seconds=5.0,  # time for four probes, whatever else the machine does
        warmup=0,
        probe=build_request(address, "GET", "/health"),
    )
    server.close()
    assert load.errors == 0
    assert len(load.probes) >= 4
    assert [math.isinf(value) for value in load.probes[:4]] == [False, False, False, True]
