"""Whether the gateway still takes work, and what runs beside its requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Known to everything that listens.

    Attributes:
        draining: set once, by the first signal.
        connections: most that each port holds at once; set before anything listens.
    """

    draining: bool = False
    connections: int = 0


class Background:
    """Something that runs beside the requests; what it does not need it inherits."""

    async def start(self) -> None:
        """Begin, before the first request.

        Raises:
            OSError: a port is taken, or a folder cannot be written.
            ValueError: what is configured cannot be used.
        """

    def reload(self) -> None:
        """Read files again now (SIGHUP)."""

    async def drain(self, seconds: float) -> None:
        """Take no more work, and give what is under way at most so many seconds."""

    async def stop(self) -> None:
        """End, after the last request."""
