"""Stops the work of a client that went away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.errors import ClientGoneError

T = TypeVar("T")
GRACE = 0.05  # seconds; shorter requests are done before anybody could have gone


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; cancel it, and with it the inference in Triton, when the client disconnects.

    The request's body must have been read.

    Raises:
        ClientGoneError: the client disconnected first.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=GRACE)
        if done:
            return task.result()
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
