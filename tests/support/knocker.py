"""A client that connects to a port again and again, and keeps what came of it."""

from __future__ import annotations

import socket
import threading
from collections import Counter

PAUSE = 0.005  # seconds between two connections


class Knocker:
    """Connects until the block ends.

    Attributes:
        outcomes: `accepted`, or the name of the error.
    """

    def __init__(self, host: str, port: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._place, self._stop = (host, port), threading.Event()
        self._thread = threading.Thread(target=self._knock)

    def _knock(self) -> None:
        while not self._stop.wait(PAUSE):
            try:
                socket.create_connection(self._place, 5).close()
                self.outcomes["accepted"] += 1
            except OSError as error:
                self.outcomes[type(error).__name__] += 1

    def __enter__(self) -> Knocker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
