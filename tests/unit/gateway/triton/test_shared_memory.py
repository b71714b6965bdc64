"""Regions: bounded, reused, never shared by two calls, cleaned up after crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, UnavailableError
from gateway.triton.region_files import PREFIX, SHM, RegionFile, remove_leftovers
from gateway.triton.shared_memory import Regions, rounded
from tests.support.waiting import PATIENCE, until

MIB = 2**20
HERE = "127.0.0.1:1"


class Mapper:
    """What regions need of Triton."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.error: GatewayError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def register_memory(self, name: str, size: int) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        assert (SHM / name).stat().st_size == size
        self.known[name] = size

    async def unregister_memory(self, name: str) -> None:
        del self.known[name]


@pytest.fixture
def mapper() -> Mapper:
    return Mapper()


def regions(mapper: Mapper, limit: int = 64 * MIB, **changes: str) -> Regions:
    values = {"url": HERE, "transport": "auto", **changes}
    return Regions(mapper, limit=limit, **values)  # type: ignore[arg-type]


@given(st.integers(1, 2**31))
def test_rounding_wastes_little_and_makes_few_sizes(size: int) -> None:
    found = rounded(size)
    assert found >= size
    assert found - size <= max(MIB, size / 8)
    assert found % MIB == 0
    assert rounded(found) == found


async def test_a_region_serves_one_call_after_another(mapper: Mapper) -> None:
    pool = regions(mapper)
    names = []
    for _ in range(3):
        async with pool.lease(3 * MIB) as lease:
            assert lease
            names.append(lease.region.name)
            assert mapper.known[lease.region.name] == lease.region.size == 3 * MIB
    assert len(set(names)) == 1
    await pool.close()
    assert mapper.known == {}
    assert not (SHM / names[0]).exists()


async def test_two_calls_at_once_have_two(mapper: Mapper) -> None:
    pool = regions(mapper)
    async with pool.lease(MIB) as one, pool.lease(MIB) as two:
        assert one
        assert two
        assert one.region.name != two.region.name
        one.region.bytes[:] = 1
        two.region.bytes[:] = 2
        assert one.region.bytes.max() == 1
    await pool.close()


async def test_the_limit_holds_and_the_rest_goes_without(mapper: Mapper) -> None:
    pool = regions(mapper, limit=4 * MIB)
    async with pool.lease(3 * MIB) as one, pool.lease(3 * MIB) as two:
        assert one
        assert two is None
    assert pool.total_bytes == 3 * MIB
    # Another size: the free region makes room.
    async with pool.lease(MIB) as small:
        assert small
    await asyncio.sleep(0)
    assert sum(mapper.known.values()) == pool.total_bytes <= 4 * MIB
    async with pool.lease(5 * MIB) as large:
        assert large is None
    await pool.close()


@pytest.mark.parametrize("changes", [{"transport": "grpc"}, {"url": "triton.example:8001"}])
async def test_where_triton_is_elsewhere_there_are_none(
    mapper: Mapper, changes: dict[str, str]
) -> None:
    pool = regions(mapper, **changes)
    async with pool.lease(MIB) as lease:
        assert lease is None
    assert pool.total_bytes == 0


async def test_a_triton_that_cannot_map_is_not_asked_again_soon(mapper: Mapper) -> None:
    pool = regions(mapper)
    mapper.error = GatewayError()
    for _ in range(2):
        async with pool.lease(MIB) as lease:
            assert lease is None
        mapper.error = None
    assert pool.total_bytes == 0
    assert not [path for path in SHM.glob(f"{PREFIX}{os.getpid()}-*") if path.name in mapper.known]


async def test_a_triton_that_is_away_is_asked_again(mapper: Mapper) -> None:
    pool = regions(mapper)
    mapper.error = UnavailableError()
    async with pool.lease(MIB) as lease:
        assert lease is None
    mapper.error = None
    async with pool.lease(MIB) as lease:
        assert lease
    await pool.close()


async def test_an_abandoned_region_rests_until_triton_is_done(mapper: Mapper) -> None:
    pool = regions(mapper, limit=2 * MIB)
    done = asyncio.Event()

    async def ended() -> bool:
        return done.is_set()

    async with pool.lease(2 * MIB) as lease:
        assert lease
        lease.abandon(ended, 60)
        name = lease.region.name
    async with pool.lease(2 * MIB) as other:
        assert other is None  # it counts, and nobody else gets it
    done.set()
    assert await back(pool, 2 * MIB) == name
    await pool.close()


async def back(pool: Regions, size: int) -> str:
    """Name of the only region, once it is free again."""
    end = time.monotonic() + PATIENCE
    while True:
        async with pool.lease(size) as lease:
            if lease:
                return lease.region.name
        assert time.monotonic() < end, "the region never came back"
        await asyncio.sleep(0.02)


async def test_time_ends_the_rest_where_triton_cannot_tell(mapper: Mapper) -> None:
    pool = regions(mapper, limit=2 * MIB)

    async def ended() -> bool:
        raise UnavailableError

    async with pool.lease(2 * MIB) as lease:
        assert lease
        lease.abandon(ended, 0.2)
    assert await back(pool, 2 * MIB) == lease.region.name
    await pool.close()


async def test_closing_leaves_what_triton_may_still_write_to_mapped(mapper: Mapper) -> None:
    pool = regions(mapper)

    async def ended() -> bool:
        return False

    async with pool.lease(MIB) as lease:
        assert lease
        lease.abandon(ended, 60)
    await pool.close()
    assert list(mapper.known) == [lease.region.name]
    assert not (SHM / lease.region.name).exists()


async def test_a_call_cancelled_while_its_region_is_made_leaves_it_to_the_next(
    mapper: Mapper,
) -> None:
    pool = regions(mapper, limit=MIB)
    mapper.gate.clear()

    async def hold() -> None:
        async with pool.lease(MIB):
            raise AssertionError("not reached")

    task = asyncio.create_task(hold())
    await until(lambda: mapper.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mapper.gate.set()
    await back(pool, MIB)
    assert len(mapper.known) == 1
    await pool.close()


async def test_triton_unmaps_what_a_dead_gateway_left(
    mapper: Mapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = asyncio.Event()
    clock = SimpleNamespace(**{**vars(asyncio), "sleep": lambda seconds: over.wait()})
    monkeypatch.setattr("gateway.triton.shared_memory.asyncio", clock)
    dead = SHM / f"{PREFIX}0-left-0"
    dead.write_bytes(b"x")
    mapper.known[dead.name] = 1
    pool = regions(mapper)
    assert not dead.exists()
    async with pool.lease(MIB):
        assert dead.name in mapper.known  # an inference may still use it
        over.set()  # so much time has passed
        await until(lambda: dead.name not in mapper.known)
    await pool.close()


def test_no_room_is_an_error_at_once() -> None:
    own = f"{PREFIX}{os.getpid()}-*"  # other processes come and go meanwhile
    before = set(SHM.glob(own))
    with pytest.raises(OSError, match=r"No space"):
        RegionFile(2**50)
    assert set(SHM.glob(own)) <= before


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay() -> None:
    code = (
        "import signal\nfrom gateway.triton.region_files import RegionFile\n"
        "one = RegionFile(4096)\nprint(one.name, flush=True)\nsignal.pause()"
    )
    living = RegionFile(4096)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[4],
    )  # fmt: skip
    try:
        assert child.stdout
        name = child.stdout.readline().strip()
        assert (SHM / name).exists()
        assert name not in remove_leftovers()
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        assert (SHM / name).exists()
        assert name in remove_leftovers()
        assert not (SHM / name).exists()
        assert (SHM / living.name).exists()
    finally:
        child.kill()
        child.wait(10)
        living.remove()
