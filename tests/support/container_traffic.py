"""A client of a Pentad in containers that goes on asking while containers come and go."""

from __future__ import annotations

import threading
import time

import httpx

from tests.support.container_stack import MAIN, ContainerStack


class Texts(threading.Thread):
    """Asks, a request of most of a second after the other, until nobody lets it in.

    Attributes:
        stopping: Set when the gateway may close its ports.
        answered: The status and the time of every answer.
        cut: What befell requests that had begun before `stopping` and got no answer.
    """

    def __init__(self, stack: ContainerStack) -> None:
        super().__init__(daemon=True)
        # A connection for each request, and no context of TLS, whose making takes longer than one.
        self._http = httpx.Client(
            headers=stack.headers,
            timeout=60,
            verify=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self.stopping = threading.Event()
        self.answered: list[tuple[int, float]] = []
        self.cut: list[httpx.HTTPError] = []

    def run(self) -> None:
        body = {"texts": [f"Sentence {number}." for number in range(64)]}
        while True:
            late = self.stopping.is_set()
            try:
                reply = self._http.post(f"{MAIN}/text/embed", json=body)
            except httpx.HTTPError as error:
                if not late and not isinstance(error, httpx.ConnectError):
                    self.cut.append(error)
                return
            self.answered.append((reply.status_code, time.monotonic()))
