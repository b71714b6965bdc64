"""The link to one of two Tritons is cut for moments, and a connection to it is half-open."""

from __future__ import annotations

import time

from tests.netns.conftest import GRPC, KEY, Gateway, Row, Site
from tests.netns.faults import MOVED, VICTIM, gets_work, link_cut, settled
from tests.support.network_traffic import Traffic


async def test_link_cut_for_moments(site: Site, gateway: Gateway, row: Row) -> None:
    await link_cut(site, gateway, row, 3)


async def test_half_open_connection(site: Site, gateway: Gateway, row: Row) -> None:
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await traffic.served()
        site.network.drop_connections("gateway", VICTIM, GRPC)
        at = time.monotonic()
        try:
            await gets_work(gateway, VICTIM, False, MOVED + 1)
            await gets_work(gateway, VICTIM)  # by a new connection
            again = time.monotonic() - at
            await traffic.served()
        finally:
            site.network.end_drops("gateway", VICTIM)
    await settled(site, gateway, traffic)
    row(traffic.row(f"half-open connection to it; a new one after {again:.0f} s", at))
    assert traffic.longest(at) < MOVED + 1
    assert traffic.failures(at) == []
