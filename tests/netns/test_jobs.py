"""Jobs while the database, the receiver or its name is away: none is lost, none comes twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.netns.conftest import DEADLINE, KEY, SCRIPTED, Gateway, Row, Site
from tests.netns.faults import settled
from tests.support.network_traffic import JOBS, TEXT, VISION, Traffic, deliveries
from tests.support.tryon_gateway import tryon_form
from tests.support.waiting import until, wait_for

LEASE = {"PENTAD_TRYON__JOBS__LEASE_SECONDS": "4", "PENTAD_TRYON__TRITON_MODEL": SCRIPTED}


async def test_postgresql_away(site: Site, gateway: Gateway, row: Row) -> None:
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await traffic.served()
        site.network.silence("postgres")
        at = time.monotonic()
        await asyncio.sleep(30)
        site.network.end_silence("postgres")
        mended = time.monotonic()
        await until(lambda: traffic.calls[-1].good and traffic.accepted, 60)
        await asyncio.sleep(10)
    row(traffic.row("PostgreSQL silent for 30 s", at, mended))
    await settled(site, gateway, traffic)
    others = [call for call in traffic.failures(at) if call.service in (TEXT, VISION)]
    assert others == []
    assert [call for call in traffic.failures(mended + 10) if call.service == JOBS] == []


async def test_name_of_the_receiver_changes_its_address(
    site: Site, gateway: Gateway, row: Row
) -> None:
    old, new = site.network.addresses["receiver"], site.network.spare
    async with Traffic(gateway.url, KEY, site.receiver) as traffic:
        await until(lambda: len(traffic.undelivered()) < len(traffic.accepted))
        site.network.move("receiver", new)
        at = time.monotonic()
        await asyncio.sleep(12)  # the name still says the old address, where nobody is
        before = len(site.receiver.received)
        site.network.know("gateway", "receiver.test", new)
        moved = time.monotonic()
        await until(lambda: len(site.receiver.received) > before, 90)
        came = time.monotonic() - moved
        await asyncio.sleep(5)
    row(traffic.row(f"receiver at another address; results came {came:.0f} s after its name", at))
    await settled(site, gateway, traffic)
    assert traffic.failures(at) == []
    site.network.move("receiver", old)
    site.network.know("gateway", "receiver.test", old)


async def test_answer_of_the_receiver_is_lost(site: Site, gateway: Gateway, row: Row) -> None:
    """It has the result, but the gateway does not know: the same event comes again, no other."""
    site.receiver.delay = 3.0
    try:
        async with Traffic(gateway.url, KEY, site.receiver) as traffic:
            before = len(site.receiver.received)
            await until(lambda: len(site.receiver.received) > before)
            site.network.silence("receiver")
            at = time.monotonic()
            site.receiver.delay = 0.0
            await asyncio.sleep(15)
            site.network.end_silence("receiver")
            await asyncio.sleep(3)
    finally:
        site.receiver.delay = 0.0
    await settled(site, gateway, traffic)
    events = deliveries(site.receiver, traffic.accepted)
    again = sum(len(ids) - 1 for ids in events.values())
    row(traffic.row(f"receiver silent for 15 s; {again} results sent again under their id", at))
    assert traffic.failures(at) == []


@pytest.fixture
def pair(site: Site, gateway: Gateway) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways that share the queue; the first is the one that the other tests leave alone."""
    gateway.stop()
    made = (
        site.gateway("gateway", **LEASE),
        site.gateway("gateway-2", **LEASE, PENTAD_TRITON__CONTROL="false"),
    )
    for sharer in made:
        sharer.start()
    yield made
    for sharer in made:
        sharer.stop()
    gateway.start()


def test_gateway_cut_off_from_postgresql_while_it_runs_a_job(
    site: Site, pair: tuple[Gateway, Gateway], row: Row
) -> None:
    first, second = pair
    job_id = f"cut-off-{time.time_ns()}"
    data, files = tryon_form(job_id, config=f'{{"prompt": "gate={job_id}"}}')
    with first.http as http:
        assert http.post("/vton/tryon", data=data, files=files).status_code == 202
    wait_for(lambda: site.begun(job_id) == 1)
    runs, other = first, second
    if second.node_of(job_id) == second.node:
        runs, other = second, first
    site.network.drop_from(runs.node, "postgres")
    try:
        # The other one takes it over; its run may wait for the first one's in the same Triton.
        wait_for(lambda: other.node_of(job_id) == other.node, 60)
        (site.runs.parent / job_id).touch()
        wait_for(lambda: other.state_of(job_id) == "delivered")
        begin = time.monotonic()
        with runs.http as http:
            reply = http.get(f"/vton/jobs/{job_id}")
        seconds = time.monotonic() - begin
        assert (reply.status_code, reply.headers["retry-after"].isdecimal()) == (503, True)
        assert seconds < DEADLINE
    finally:
        site.network.end_drops(runs.node, "postgres")
    wait_for(lambda: runs.state_of(job_id) == "delivered", 60)
    again = f"again-{time.time_ns()}"
    data, files = tryon_form(again, config='{"prompt": "seconds=0.1"}')
    wait_for(lambda: _submitted(runs, data, files))
    wait_for(lambda: runs.state_of(again) == "delivered")
    time.sleep(2)
    events = deliveries(site.receiver, [job_id, again])
    assert [len(ids) for ids in events.values()] == [1, 1]
    row(
        f"|gateway cut off from PostgreSQL while it runs a job|||the other gateway ran it again "
        f"and delivered it once; the cut-off one answered 503 after {seconds:.1f} s|"
    )


def _submitted(gateway: Gateway, data: object, files: object) -> bool:
    with gateway.http as http:
        return http.post("/vton/tryon", data=data, files=files).status_code == 202  # type: ignore[arg-type]
