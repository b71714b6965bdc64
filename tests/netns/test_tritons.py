"""The link to one of two Tritons breaks in every way there is, under load."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.netns.conftest import DEADLINE, GRPC, KEY, SLACK, Gateway, Row, Site
from tests.support.network_traffic import Traffic, deliveries
from tests.support.waiting import until

MOVED = 5.0
"""Seconds after which the other Triton has all of the work."""
WARM = 3.0
VICTIM = "triton-1"


async def settled(site: Site, gateway: Gateway, traffic: Traffic) -> None:
    """Check that nothing needed a hand, and that every accepted job came exactly once."""
    await until(gateway.ready, 90)
    await until(lambda: all(gateway.up(one) for one in site.tritons), 90)
    await until(lambda: not traffic.undelivered(), 120)
    events = deliveries(site.receiver, traffic.accepted)
    assert {len(set(one)) for one in events.values()} <= {1}
    assert traffic.accepted


@pytest.mark.parametrize("seconds", [3, 20, 120])
async def test_link_cut(site: Site, gateway: Gateway, row: Row, seconds: int) -> None:
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await asyncio.sleep(WARM)
        site.network.cut(VICTIM)
        at = time.monotonic()
        await asyncio.sleep(seconds)
        site.network.mend(VICTIM)
        mended = time.monotonic()
        await asyncio.sleep(10)
    row(traffic.row(f"link to one of two Tritons cut for {seconds} s", at, mended))
    await settled(site, gateway, traffic)
    traffic.check(DEADLINE + SLACK)
    moved = [call for call in traffic.calls if call.end > at and call.seconds > MOVED + 2]
    assert moved == []
    assert traffic.failures(at - DEADLINE) == []


async def test_half_open_connection(site: Site, gateway: Gateway, row: Row) -> None:
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await asyncio.sleep(WARM)
        site.network.drop_connections("gateway", VICTIM, GRPC)
        at = time.monotonic()
        try:
            await until(lambda: not gateway.up(VICTIM), MOVED)
            await until(lambda: gateway.up(VICTIM), 60)  # by a new connection
            again = time.monotonic()
            await asyncio.sleep(3)
        finally:
            site.network.end_drops("gateway", VICTIM)
    row(traffic.row(f"half-open connection, new one after {again - at:.0f} s", at))
    await settled(site, gateway, traffic)
    traffic.check(DEADLINE + SLACK)
    assert traffic.failures(at - DEADLINE) == []


async def test_slow_and_lossy_link(site: Site, gateway: Gateway, row: Row) -> None:
    how = site.network.slow(VICTIM, 0.2, 0.05)
    try:
        async with Traffic(gateway.url, KEY, site.receiver) as traffic:
            at = time.monotonic()
            await asyncio.sleep(20)
            site.network.cut(VICTIM)  # a connection has to be made over such a link, too
            await asyncio.sleep(8)
            site.network.mend(VICTIM)
            await until(lambda: gateway.up(VICTIM), 60)
            await asyncio.sleep(5)
    finally:
        site.network.hasten(VICTIM)
    row(traffic.row(f"200 ms each way and 5 % loss ({how}) to one of two Tritons", at))
    await settled(site, gateway, traffic)
    traffic.check(DEADLINE + SLACK)
