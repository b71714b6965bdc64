"""The end of the gRPC server: calls under way are answered, and their clients get the answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from grpc.aio import ServicerContext

from gateway.errors import UnavailableError

# gRPC closes a connection once its last call has been written to the kernel. What a client still
# says then (it answers every piece of a large message) makes the kernel reset the connection, and
# the client loses an answer that is on its way. So connections stay for this long afterwards.
LINGER_SECONDS = 1.0
_POLL_SECONDS = 0.02


class Drain:
    """Counts calls, and refuses new ones once the server stops."""

    def __init__(self) -> None:
        self._calls = 0
        self._last = -LINGER_SECONDS
        self._stopping = False

    def enter(self, context: ServicerContext[Any, Any]) -> None:
        """Count a call until it has ended, its answer written.

        Raises:
            UnavailableError: the server is stopping; another one may be there in a second.
        """
        self._calls += 1
        # The stubs want an object of a class of theirs; any callable is documented.
        context.add_done_callback(self._leave)  # type: ignore[arg-type]
        if self._stopping:
            raise UnavailableError("The server is shutting down", retry_after=1)

    async def finish(self, grace: float) -> float:
        """Refuse new calls, and wait until the others are answered, at most ``grace`` seconds.

        Returns:
            Seconds that are left of ``grace``.
        """
        self._stopping = True
        end = time.monotonic() + grace
        while time.monotonic() < end and not self._over():  # noqa: ASYNC110 - time counts too
            await asyncio.sleep(_POLL_SECONDS)
        return max(0.0, end - time.monotonic())

    def _over(self) -> bool:
        return not self._calls and time.monotonic() - self._last >= LINGER_SECONDS

    def _leave(self, context: ServicerContext[Any, Any]) -> None:
        self._calls -= 1
        self._last = time.monotonic()
