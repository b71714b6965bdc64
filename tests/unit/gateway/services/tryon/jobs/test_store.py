from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.services.tryon.jobs.database import StoreError, open_database
from gateway.services.tryon.jobs.store import JobStore
from tests.support.job_store_checks import CHECKS, PAUSE, TTL, Open, new


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_on_sqlite(tmp_path: Path, check: Callable[[Open], Awaitable[None]]) -> None:
    opened: list[JobStore] = []

    def open_store() -> JobStore:
        engine = open_database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
        opened.append(JobStore(engine, TTL, clock=lambda: 13.0, longest_pause=PAUSE))
        return opened[-1]

    try:
        await check(open_store)
    finally:
        for store in opened:
            await store.close()


async def test_commits_are_on_the_disk(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    engine.dispose()


async def test_a_broken_database_is_one_kind_of_error(tmp_path: Path) -> None:
    store = JobStore(open_database(f"sqlite:///{tmp_path / 'jobs.sqlite'}"), TTL)
    for file in tmp_path.iterdir():
        file.write_bytes(b"x" * 10_000)
    with pytest.raises(StoreError):
        await store.add(new("a"), 1)
    await store.close()
