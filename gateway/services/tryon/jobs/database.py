"""The database of the jobs, SQLite or PostgreSQL alike: its tables, and transactions in threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.private_files import private_file

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound="Database")
SERVER_THREADS = 4  # transactions at once on a database server
SERVER_SECONDS = 10.0
"""How long a transaction on a database server may take, until it counts as failed."""
OF_CLIENT = {
    "connect_timeout": 5,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 8000,
}
"""Parameters of libpq: a server that is silent is given up after 8 s, not after a quarter hour."""
OF_SERVER = {
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
}
"""Parameters of PostgreSQL's sessions: those of a gateway that is cut off hold no rows for long."""

metadata = MetaData()

jobs = Table(
    "tryon_jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("deadline", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("lease", Double),
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancelling", Boolean, nullable=False, default=False),
    Column("started", Double),
    Column("finished", Double),
    Column("expires", Double),
    Column("progress", Double, nullable=False, default=0.0),
    Column("step", Text),
    Column("result", Text),
    Column("content_type", Text),
    Column("report", Text, nullable=False, default="{}"),
    Column("error_code", Text),
    Column("error_step", Text),
    Index("tryon_jobs_by_state", "state", "created"),
    Index("tryon_jobs_by_time", "created", "id"),
)

deliveries = Table(
    "tryon_deliveries",
    metadata,
    Column("job_id", Text, ForeignKey("tryon_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt", Double),
    Column("last_status", Integer),
    Column("since", Double, nullable=False, default=0.0),
    Column("owner", Text),
    Column("lease", Double),
    Index("tryon_deliveries_due", "state", "next_attempt"),
)

files = Table(
    "tryon_files",
    metadata,
    Column("folder", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
)


class StoreError(Exception):
    """The database does not do its work."""


class Database:
    """Runs transactions in threads: in one for SQLite, which has one writer anyway.

    Args:
        engine: from :func:`open_database`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        in_file = engine.dialect.name == "sqlite"
        self._threads = ThreadPoolExecutor(1 if in_file else SERVER_THREADS, "jobs")
        self._longest = None if in_file else SERVER_SECONDS

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run one transaction, durable when this returns.

        Raises:
            StoreError: the database fails, or has not answered in time; then the transaction may
                have been done all the same, or may still be.
        """
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, self._transact, work)
        done.add_done_callback(lambda late: late.cancelled() or late.exception())
        if not (await asyncio.wait({done}, timeout=self._longest))[0]:
            done.cancel()  # one that waits for a thread is not to begin
            raise StoreError("late")
        return done.result()

    async def close(self) -> None:
        """End the threads and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        for last in (False, True):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                # A server that was restarted has closed the connection: the next one works.
                if last or not error.connection_invalidated:
                    raise StoreError(type(error).__name__) from None
            except SQLAlchemyError as error:
                raise StoreError(type(error).__name__) from None
        raise AssertionError  # the loop returns or raises


def transaction(
    work: Callable[Concatenate[D, Connection, P], T],
) -> Callable[Concatenate[D, P], Coroutine[Any, Any, T]]:
    """Make a coroutine of a method of a database that works on a connection: one transaction."""

    @wraps(work)
    async def run(database: D, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await database.run(lambda connection: work(database, connection, *args, **kwargs))

    return run


def open_database(url: str) -> Engine:
    """Connect, and create what is missing.

    SQLite runs in WAL mode with every commit on the disk before it returns; every transaction
    takes the write lock at its beginning, so that two gateways never deadlock.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or the URL is wrong.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and not parsed.database.startswith((":", "file:")):
            with contextlib.suppress(OSError):  # SQLite itself says what is wrong
                private_file(Path(parsed.database))  # its journals get the same mode
        engine = create_engine(parsed, connect_args={"timeout": 30})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda link: link.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        own = {k: v for k, v in OF_CLIENT.items() if k not in parsed.query}
        engine = create_engine(
            parsed, pool_pre_ping=True, pool_size=SERVER_THREADS, max_overflow=0, connect_args=own
        )
        event.listen(engine, "connect", _prepare_server)
    try:
        metadata.create_all(engine)
    except DBAPIError:  # another gateway that starts now was quicker
        metadata.create_all(engine)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_server(connection: Any, record: object) -> None:
    names = ", ".join("set_config(%s, %s, false)" for _ in OF_SERVER)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names}", [part for pair in OF_SERVER.items() for part in pair])
    connection.commit()
