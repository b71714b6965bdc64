"""A job's commit is done, but the network loses the database's word for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from gateway.services.tryon.jobs.database import StoreError
from tests.support.tryon_gateway import TryonGateway, tryon_gateway

QUEUE = {"jobs": {"queue_size": 5, "poll_seconds": 0.05}}


async def test_an_upload_whose_end_was_not_heard_is_accepted_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tryon_gateway(tmp_path, tryon=QUEUE) as g:
        _unheard_once(g, monkeypatch)
        first = await g.submit("unheard")
        assert first.status_code == 503
        assert first.headers["retry-after"] == "2"
        again = await g.submit("unheard")
        assert again.status_code == 202
        job = await g.until("unheard", "delivered", "failed")
        assert job["state"] == "delivered"  # its pictures were still there
        assert len(g.triton.runs) == 1


async def test_a_transaction_that_is_tried_again_finds_its_own_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks at the commit: the database does it, and it is done once more."""
    async with tryon_gateway(tmp_path, tryon=QUEUE) as g:
        store = g.service.jobs.store
        add, ends = store.add, []

        async def twice(*args: Any) -> bool:
            ends.append(await add(*args))
            return await add(*args)

        monkeypatch.setattr(store, "add", twice)
        assert (await g.submit("twice")).status_code == 202
        job = await g.until("twice", "delivered", "failed")
        assert job["state"] == "delivered"
        assert ends == [True]


def _unheard_once(g: TryonGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    store = g.service.jobs.store
    add, calls = store.add, []

    async def unheard(*args: Any) -> bool:
        accepted = await add(*args)
        calls.append(accepted)
        if len(calls) == 1:
            raise StoreError(OperationalError.__name__)
        return accepted

    monkeypatch.setattr(store, "add", unheard)
