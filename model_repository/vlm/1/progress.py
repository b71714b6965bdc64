"""What a request has generated, for another request that follows it; plain asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

FOLLOW_SECONDS = 5.0
"""How long a follower waits for something new before it is told that there is nothing."""


@dataclass(frozen=True)
class News:
    """What has been generated since somebody looked.

    Attributes:
        reasoning: Of the thinking.
        text: Of the answer.
        next: What to say `after` the next time.
        ended: Whether nothing will follow.
    """

    reasoning: str
    text: str
    next: int
    ended: bool


class Progress:
    """Pieces in the order of their generation; all methods are called in the engine's loop.

    It keeps them all: a follower that lost an answer asks again.
    """

    def __init__(self) -> None:
        """Nothing has been generated."""
        self._pieces: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        self._ended = False

    def add(self, reasoning: str, text: str) -> None:
        """Add a piece of the thinking and one of the answer; both may be empty."""
        if reasoning or text:
            self._pieces.append((reasoning, text))
            self._changed.set()

    def end(self) -> None:
        """Nothing will be added any more."""
        self._ended = True
        self._changed.set()

    async def since(self, after: int) -> News:
        """Return what there is beyond the first `after` pieces; waits until there is something."""
        if len(self._pieces) <= after and not self._ended:
            self._changed.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), FOLLOW_SECONDS)
        pieces = self._pieces[after:]
        reasoning, text = ("".join(piece[kind] for piece in pieces) for kind in (0, 1))
        return News(reasoning, text, max(after, len(self._pieces)), self._ended)
