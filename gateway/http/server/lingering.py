"""The end of a connection whose peer may still be sending (RFC 9112, section 9.6).

Closing at once makes the kernel answer what arrives later with a reset, which destroys the answer
in the peer's buffer. So only the sending half is closed, and what arrives is thrown away for a
while.
"""

from __future__ import annotations

SILENCE = 5.0  # seconds without a byte after which nobody is sending any more


class Lingering:
    """How much longer a peer is read that has had its answer.

    Args:
        seconds: how long it may go on sending.
        most: how many bytes it may send.
    """

    def __init__(self, now: float, seconds: float, most: int) -> None:
        self._until = now + seconds
        self._left = most
        self._heard = now

    def enough(self, count: int, now: float) -> bool:
        """Note ``count`` more bytes and say whether they were too many."""
        self._heard = now
        self._left -= count
        return self._left < 0

    def over(self, now: float) -> bool:
        """Say whether it has lasted too long, or nothing comes any more."""
        return now >= self._until or now - self._heard >= SILENCE
