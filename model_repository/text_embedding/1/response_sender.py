"""The way back of one request, for several threads. No Triton.

With the final response Triton frees what belongs to the request. To ask afterwards whether the
client has gone reads freed memory, and tritonserver 2.51 ends with a SIGSEGV in
`TRITONBACKEND_ResponseFactoryIsCancelled`, for all models at once. A model that looks in one thread
while another one answers needs a lock between the two, which is here.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class ThreadSafeSender:
    """A response sender that asks and sends nothing any more after the final response."""

    def __init__(self, sender: Any, messages: AbstractContextManager[Any] | None = None) -> None:
        """Wrap a sender.

        Args:
            sender: `InferenceRequest.get_response_sender()`.
            messages: Lock around everything that is a message to the server, where there are
                others, such as metrics.
        """
        self._sender = sender
        self._messages = messages or nullcontext()
        self._lock = threading.Lock()
        self._final = False

    def is_cancelled(self) -> bool:
        """Whether nobody waits for (more of) an answer; a round trip to the server."""
        with self._lock:
            if self._final:
                return True
            with self._messages:
                return bool(self._sender.is_cancelled())

    def send(self, response: Any, flags: int = 0) -> None:
        """Send a response; with any flag it is the final one, and later ones are dropped."""
        with self._lock:
            if self._final:
                return
            self._final = bool(flags)
            self._sender.send(response, flags=flags)
