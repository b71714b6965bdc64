"""One request and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Flow(FlowControl):
    """Flow control that can refuse to read on; a waiting application always asks for more."""

    held = False

    def hold(self) -> None:
        """Read nothing until ``held`` is taken back."""
        self.pause_reading()
        self.held = True

    def resume_reading(self) -> None:
        """Read on unless held."""
        if not self.held:
            super().resume_reading()


class Answering:
    """What a cycle sees of its transport: ``close`` leaves it to the connection how to end."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Cycle(RequestResponseCycle):
    """A cycle that says ``Connection: close`` when the rest of the body is not waited for.

    Args:
        rest_is_small: says, while the body is incomplete, whether the rest is worth reading.
        values: what a cycle of uvicorn takes.
    """

    def __init__(self, rest_is_small: Callable[[], bool], **values: Any) -> None:
        super().__init__(**values)
        self._rest_is_small = rest_is_small

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the answer."""
        if self.more_body and self.keep_alive and not self.response_started:
            self.keep_alive = self._rest_is_small()
        await super().send(message)

    def give_up(self) -> None:
        """Tell the application that the client is gone; what it sends is dropped."""
        self.disconnected = True
        self.waiting_for_100_continue = False
        self.message_event.set()
