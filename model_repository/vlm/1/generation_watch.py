"""Runs one generation until it ends, is cancelled, or takes too long; plain asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
POLL_SECONDS = 0.25
"""How often Triton is asked whether the client is still there: nothing tells us."""


class GenerationCancelledError(Exception):
    """The client has gone, or somebody cancelled the request."""


class DeadlinePassedError(Exception):
    """The generation did not end in time."""


async def watched(
    generation: Coroutine[Any, Any, Result],
    cancelled: asyncio.Event,
    client_gone: Callable[[], bool],
    seconds: float,
) -> Result:
    """Return the result of `generation`, which is cancelled when nobody wants it any more.

    Args:
        generation: Coroutine.
        cancelled: asyncio.Event that asks for cancellation.
        client_gone: Function that tells whether the client has gone.
        seconds: Time that is left.

    Raises:
        GenerationCancelledError: `cancelled` was set or the client has gone.
        DeadlinePassedError: It did not end within `seconds`.
    """
    task = asyncio.ensure_future(generation)
    stops: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(cancelled.wait()),
        asyncio.ensure_future(_until(client_gone)),
    ]
    try:
        await asyncio.wait(
            [task, *stops], timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            return task.result()
        if any(stop.done() for stop in stops):
            raise GenerationCancelledError
        raise DeadlinePassedError
    finally:
        for other in (task, *stops):
            other.cancel()
        # The engine has forgotten the request when its task has ended.
        await asyncio.gather(task, *stops, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (Triton has no event for it)
        await asyncio.sleep(POLL_SECONDS)
