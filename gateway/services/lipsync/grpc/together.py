"""Runs the sides of a stream until all are done or one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*sides: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side; the first error ends the others and is raised."""
    tasks = [asyncio.ensure_future(side) for side in sides]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
