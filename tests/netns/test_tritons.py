"""The links to Tritons break for longer, slow down, or break all at once, under load."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.netns.conftest import KEY, Gateway, Row, Site
from tests.netns.faults import VICTIM, gets_work, link_cut, settled
from tests.support.network_traffic import TEXT, Traffic


@pytest.mark.parametrize("seconds", [20, 120])
async def test_link_cut(site: Site, gateway: Gateway, row: Row, seconds: int) -> None:
    await link_cut(site, gateway, row, seconds)


async def test_slow_and_lossy_link(site: Site, gateway: Gateway, row: Row) -> None:
    how = site.network.slow(VICTIM, 0.2, 0.05)
    try:
        async with Traffic(gateway.url, KEY, site.receiver) as traffic:
            at = time.monotonic()
            await asyncio.sleep(20)
            site.network.cut(VICTIM)  # a connection has to be made over such a link, too
            await asyncio.sleep(8)
            site.network.mend(VICTIM)
            await gets_work(gateway, VICTIM)
            await asyncio.sleep(5)
    finally:
        site.network.hasten(VICTIM)
    await settled(site, gateway, traffic)
    row(traffic.row(f"200 ms each way and 5 % loss to one of two Tritons ({how})", at))
    assert traffic.failures(at) == []


async def test_both_links_cut(site: Site, gateway: Gateway, row: Row) -> None:
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await traffic.served()
        for node in site.tritons:
            site.network.cut(node)
        at = time.monotonic()
        await asyncio.sleep(20)
        for node in site.tritons:
            site.network.mend(node)
        mended = time.monotonic()
        await gets_work(gateway, VICTIM)
        await asyncio.sleep(5)
    await settled(site, gateway, traffic)
    row(traffic.row("links to both Tritons cut for 20 s", at, mended))
    assert [call for call in traffic.failures(mended + 15) if call.service == TEXT] == []
