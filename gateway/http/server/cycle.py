"""One request and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

JOINED = 2**16  # bytes; copying a larger body costs more than another system call


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
    """What a cycle sees of its transport: how to end is left to the connection."""

    __slots__ = ("_end", "_head", "_holding", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self.is_closing = transport.is_closing
        self._write = transport.write
        self._end = end
        self._head = b""
        self._holding = False

    def hold(self) -> None:
        """Let the next part wait for the one after it: one system call and packet for both."""
        self._holding = True

    def write(self, data: bytes) -> None:
        """Send a part of an answer."""
        if self._holding:
            self._head, self._holding = data, False
        elif self._head and len(data) <= JOINED:
            self._write(self._head + data)
            self._head = b""
        else:
            self.flush()
            self._write(data)

    def flush(self) -> None:
        """Send what waits."""
        if self._head:
            self._write(self._head)
            self._head = b""

    def close(self) -> None:
        """Leave it to the connection how to end."""
        self.flush()
        self._end()


class Cycle(RequestResponseCycle):
    """A cycle that says ``Connection: close`` when the rest of the body is not waited for.

    Attributes:
        rest_is_small: says, while the body is incomplete, whether the rest is worth reading.
    """

    answering: Answering
    rest_is_small: Callable[[], bool]

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the answer."""
        if self.response_started:
            await super().send(message)
            return
        if self.more_body and self.keep_alive:
            self.keep_alive = self.rest_is_small()
        if self.scope["method"] != "HEAD":
            self.answering.hold()
        await super().send(message)
        if self.chunked_encoding:  # the first part of a stream may be long in coming
            self.answering.flush()

    def give_up(self) -> None:
        """Tell the application that the client is gone; what it sends is dropped."""
        self.disconnected = True
        self.waiting_for_100_continue = False
        self.message_event.set()
