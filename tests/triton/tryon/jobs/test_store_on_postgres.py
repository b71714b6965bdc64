"""The job store's checks on a real PostgreSQL, and files in its table."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from gateway.services.tryon.jobs.database import OF_SERVER, open_database
from gateway.services.tryon.jobs.files import DatabaseFiles
from gateway.services.tryon.jobs.store import JobStore
from tests.support.job_store_checks import CHECKS, PAUSE, TTL, Open, new
from tests.support.postgres import postgres


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def empty(server: str) -> str:
    engine = create_engine(server)
    with engine.begin() as connection:
        for table in ("tryon_files", "tryon_deliveries", "tryon_jobs"):
            connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()
    return server


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_on_postgresql(empty: str, check: Callable[[Open], Awaitable[None]]) -> None:
    opened: list[JobStore] = []

    def open_store() -> JobStore:
        opened.append(JobStore(open_database(empty), TTL, clock=lambda: 13.0, longest_pause=PAUSE))
        return opened[-1]

    try:
        await check(open_store)
    finally:
        for store in opened:
            await store.close()


async def test_closed_connections_are_opened_again(empty: str) -> None:
    store = JobStore(open_database(empty), TTL)
    await store.add(new("a"), 9)
    engine = create_engine(empty)
    with engine.begin() as connection:  # as a restarted server does
        mine = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        connection.execute(text(f"{mine} AND datname = current_database()"))
    engine.dispose()
    assert await store.get("a")
    await store.close()


async def test_files_in_the_database(empty: str, tmp_path: Path) -> None:
    engine = open_database(empty)
    store = JobStore(engine, TTL)
    files = DatabaseFiles(store)
    incoming = tmp_path / "upload"
    incoming.mkdir()
    person = os.urandom(2_000_000)
    (incoming / "person").write_bytes(person)
    await files.adopt("folder-a", incoming)
    assert not incoming.exists()
    await files.write("folder-a", "result-1", b"1")
    await files.write("folder-a", "result-1", b"2")
    assert await files.read("folder-a", "person") == person
    assert await files.read("folder-a", "result-1") == b"2"
    assert await files.read("folder-a", "none") is None
    await store.add(new("a"), 9)
    await files.write("folder-lost", "person", b"x")
    assert await files.sweep((), 0.0) == 1  # the job's own files stay
    assert await files.read("folder-a", "person") == person
    await files.remove("folder-a")
    assert await files.read("folder-a", "person") is None
    await store.close()


async def test_sessions_end_with_gateways_that_are_cut_off(empty: str) -> None:
    store = JobStore(open_database(empty), TTL)

    def read(connection: Connection) -> dict[str, str]:
        names = ", ".join(f"'{name}'" for name in OF_SERVER)
        rows = connection.execute(
            text(f"SELECT name, setting FROM pg_settings WHERE name IN ({names})")
        )
        return {str(name): str(value) for name, value in rows}

    assert await store.run(read) == {
        "idle_in_transaction_session_timeout": "15000",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
    }
    await store.close()
