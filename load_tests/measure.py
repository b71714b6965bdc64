"""A closed-loop load: N clients, each sends its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from load_tests.client import Address, Answer, Connection, TransportError

PROBE_SECONDS = 0.05
"""Pause between two health probes."""

Send = Callable[[int], Awaitable[Answer]]
"""Sends the request with this index and returns its answer."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; ``share`` in 0..1. NaN for no values.

    Nearest rank (ISO 2602's definition by order statistic) needs no interpolation, so the result
    is always a latency that really occurred.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Load:
    """What one run measured. Latencies in seconds, of answers with status 200 only."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """Answers by HTTP status; 0 counts broken connections."""
    rate: float = 0.0
    """Successful requests per second: the sum of the clients' own rates."""
    answers: dict[int, bytes] = field(default_factory=dict)
    """Bodies kept for the check of correctness, by request index."""
    probes: list[float] = field(default_factory=list)
    """Latencies in seconds of the health probes meanwhile."""

    @property
    def errors(self) -> int:
        """Requests that did not end with 200."""
        return sum(self.statuses.values()) - self.statuses[200]

    def quantiles(self) -> dict[str, float]:
        """Return p50, p95 and p99 in milliseconds."""
        shares = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
        return {key: percentile(self.latencies, share) * 1e3 for key, share in shares.items()}


class _Client:
    """One of the closed loop's clients and its own figures."""

    def __init__(self) -> None:
        self.first = math.inf
        self.last = -math.inf
        self.succeeded = 0

    @property
    def rate(self) -> float:
        """Requests per second from the first measured start to the last measured end."""
        return self.succeeded / (self.last - self.first) if self.succeeded else 0.0


async def closed_loop(
    senders: Sequence[Send],
    requests: int,
    *,
    seconds: float,
    warmup: float,
    keep: int = 0,
    backoff: float = 0.1,
) -> Load:
    """Run one client per sender over ``requests`` distinct requests, again and again.

    Requests that start after ``warmup`` seconds and before ``warmup + seconds`` are measured, and
    at least one request of every client, however slow the server is. Clients go on, unmeasured,
    until the last measured request has ended, so that the slow ones do not finish on an idle
    server. A client's rate is its measured requests over its own busy time, which has no error
    from requests that straddle the ends of the window.

    Args:
        senders: one function per client, each with its own connection.
        requests: number of distinct requests; clients share one counter.
        seconds: length of the measured window.
        warmup: seconds before it.
        keep: answers to requests with an index below this are kept.
        backoff: seconds a client pauses after a failed request, so that rejected clients do not
            take the processor from the server.
    """
    load = Load()
    start = time.perf_counter() + warmup
    end = start + seconds
    state = {"next": 0, "measuring": 0, "unheard": len(senders)}

    async def client(send: Send) -> _Client:
        own = _Client()
        heard = False
        while True:
            began = time.perf_counter()
            measured = began >= start and (began < end or not heard)
            if began >= end and heard and not state["measuring"] and not state["unheard"]:
                return own
            if measured and not heard:
                heard = True
                state["unheard"] -= 1
            index = state["next"] % requests
            state["next"] += 1
            state["measuring"] += measured
            try:
                answer = await send(index)
            except TransportError:
                answer = Answer(0, b"")
            finally:
                state["measuring"] -= measured
            ended = time.perf_counter()
            if measured:
                load.statuses[answer.status] += 1
                own.first = min(own.first, began)
                own.last = max(own.last, ended)
                if answer.status == 200:
                    own.succeeded += 1
                    load.latencies.append(ended - began)
                    if index < keep:
                        load.answers[index] = answer.body
            if answer.status != 200:
                await asyncio.sleep(backoff)

    load.rate = sum(own.rate for own in await asyncio.gather(*map(client, senders)))
    return load


async def http_load(
    address: Address,
    payloads: Sequence[bytes],
    *,
    clients: int,
    seconds: float,
    warmup: float,
    keep: int = 0,
    probe: bytes | None = None,
) -> Load:
    """Run the closed loop over HTTP, one keep-alive connection per client.

    With ``probe`` that request is sent every `PROBE_SECONDS` besides, after the warm-up.
    """
    probes: list[float] = []
    prober = asyncio.ensure_future(_probe(address, probe, warmup, probes)) if probe else None
    connections = [Connection(address) for _ in range(clients)]

    def sender(connection: Connection) -> Send:
        return lambda index: connection.request(payloads[index])

    try:
        load = await closed_loop(
            [sender(connection) for connection in connections],
            len(payloads),
            seconds=seconds,
            warmup=warmup,
            keep=keep,
        )
        load.probes = probes
        return load
    finally:
        if prober is not None:
            prober.cancel()
        for connection in connections:
            connection.close()


async def _probe(address: Address, request: bytes, wait: float, latencies: list[float]) -> None:
    await asyncio.sleep(wait)
    connection = Connection(address)
    try:
        while True:
            began = time.perf_counter()
            answer = await connection.request(request)
            # A health check that fails while the server is busy took for ever.
            healthy = answer.status == 200
            latencies.append(time.perf_counter() - began if healthy else math.inf)
            await asyncio.sleep(PROBE_SECONDS)
    except TransportError:
        latencies.append(math.inf)
    finally:
        connection.close()
