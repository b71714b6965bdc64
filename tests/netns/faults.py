"""What the tests of a broken network share: how long things may take, and what holds afterwards."""

from __future__ import annotations

import asyncio
import time

from tests.netns.conftest import DEADLINE, KEY, SLACK, Gateway, Row, Site
from tests.support.network_traffic import Traffic, deliveries
from tests.support.waiting import until

MOVED = 5.0
"""Seconds after which the other Triton has all of the work."""
VICTIM = "triton-1"


async def gets_work(gateway: Gateway, triton: str, yes: bool = True, seconds: float = 60.0) -> None:
    """Wait until a Triton gets work, or none; clients are not held up by the asking."""
    end = time.monotonic() + seconds
    while await asyncio.to_thread(gateway.up, triton) is not yes:
        assert time.monotonic() < end, f"{triton} gets {'no work' if yes else 'work'}"
        await asyncio.sleep(0.1)


async def settled(site: Site, gateway: Gateway, traffic: Traffic) -> None:
    """Check what holds after every fault.

    Nothing needed a hand; every accepted job came, under one id; every answer was a permitted one,
    in time.
    """
    await until(gateway.ready, 90)
    for node in site.tritons:
        await gets_work(gateway, node, seconds=90)
    await until(lambda: not traffic.undelivered(), 120)
    assert traffic.accepted
    events = deliveries(site.receiver, traffic.accepted)
    assert {len(set(ids)) for ids in events.values()} == {1}
    traffic.check(DEADLINE + SLACK)


async def link_cut(site: Site, gateway: Gateway, row: Row, seconds: int) -> None:
    """Cut the link to one of two Tritons under load."""
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await traffic.served()
        site.network.cut(VICTIM)
        at = time.monotonic()
        await asyncio.sleep(seconds)
        site.network.mend(VICTIM)
        mended = time.monotonic()
        await gets_work(gateway, VICTIM)
        back = time.monotonic() - mended
        await traffic.served()
    await settled(site, gateway, traffic)
    what = f"link to one of two Tritons cut for {seconds} s; it had work again {back:.0f} s later"
    row(traffic.row(what, at, mended))
    assert traffic.longest(at) < MOVED + 1  # and the inference itself
    assert traffic.failures(at) == []
