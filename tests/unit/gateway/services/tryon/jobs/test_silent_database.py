"""A database server that takes connections and says nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine

from gateway.services.tryon.jobs import database
from gateway.services.tryon.jobs.database import OF_CLIENT, Database, StoreError


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        yield f"postgresql+psycopg://u@127.0.0.1:{port}/db?connect_timeout=2"


async def test_a_silent_server_is_an_error_in_time(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SERVER_SECONDS", 0.2)
    store = Database(create_engine(silent))
    begun = []

    def work(connection: object) -> None:
        begun.append(connection)

    begin = time.monotonic()
    waiting = [store.run(work) for _ in range(3 * database.SERVER_THREADS)]
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ends} == {StoreError}
    assert time.monotonic() - begin < 2  # none waits for a thread or for the connection
    begin = time.monotonic()
    await store.close()  # what waited for a thread has not begun: only the first four connect
    assert time.monotonic() - begin < 2 * 2 * 2
    assert begun == []


def test_the_patience_of_connections_is_set_unless_the_url_says_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[dict[str, object]] = []

    def engine(url: object, **options: object) -> object:
        given.append(dict(options["connect_args"]))  # type: ignore[call-overload]
        raise ConnectionError

    monkeypatch.setattr(database, "create_engine", engine)
    for query in ("", "?connect_timeout=60&tcp_user_timeout=1"):
        with pytest.raises(ConnectionError):
            database.open_database(f"postgresql+psycopg://u@h/db{query}")
    usual, own = given
    assert usual == OF_CLIENT
    assert own.keys() == OF_CLIENT.keys() - {"connect_timeout", "tcp_user_timeout"}


async def test_a_file_may_take_as_long_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SERVER_SECONDS", 0.01)
    store = Database(create_engine("sqlite://"))

    def slow(connection: object) -> str:
        time.sleep(0.1)
        return "done"

    assert await store.run(slow) == "done"
    await store.close()
