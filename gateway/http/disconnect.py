"""Stops the work of a client that went away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.errors import ClientGoneError

T = TypeVar("T")
GRACE = 0.05  # seconds; shorter requests are done before anybody could have gone


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Run ``work``; cancel it, and with it the inference in Triton, when the client disconnects.

    The request's body must have been read.

    Raises:
        ClientGoneError: the client disconnected first.
    """
    watch = _Watch(request)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.gone:
            raise
        if hasattr(watch.task, "uncancel"):  # Python 3.11+: the cancellation ends here
            watch.task.uncancel()
        raise ClientGoneError from None
    finally:
        watch.stop()


class _Watch:
    """Cancels the current task on a disconnect; costs one timer unless the request is long."""

    def __init__(self, request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only coroutines call this
        self.task: asyncio.Task[Any] = task
        self.gone = False
        self._request = request
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._begin)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()
            # The cancelled task's traceback holds this object: a cycle would keep the request's
            # body until the garbage collector comes round.
            self._watcher = None

    def _begin(self) -> None:
        self._watcher = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.task.cancel()
