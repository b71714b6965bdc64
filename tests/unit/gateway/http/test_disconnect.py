"""A long request's watch on its client leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from gateway.errors import ClientGoneError
from gateway.http.disconnect import GRACE, unless_gone


class Request:
    """Its client stays, or leaves at once."""

    def __init__(self, *, leaves: bool) -> None:
        self._leaves = leaves

    async def receive(self) -> dict[str, str]:
        if not self._leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}


@pytest.mark.parametrize("leaves", [False, True])
async def test_the_request_is_freed_without_the_garbage_collector(leaves: bool) -> None:
    """The collector comes round once in thousands of requests, and this one may hold 13 MB."""

    async def serve() -> weakref.ref[Request]:
        request = Request(leaves=leaves)
        if leaves:
            with pytest.raises(ClientGoneError):
                await unless_gone(request, asyncio.sleep(60))  # type: ignore[arg-type]
        else:
            await unless_gone(request, asyncio.sleep(4 * GRACE))  # type: ignore[arg-type]
        return weakref.ref(request)

    gc.disable()
    try:
        held = await asyncio.create_task(serve())
        await asyncio.sleep(0.01)  # the cancelled watcher ends
        assert held() is None
    finally:
        gc.enable()
