"""When to start a crashed process again."""

from __future__ import annotations


class Backoff:
    """No pause after one crash; then one that doubles; a long healthy run starts over."""

    def __init__(self, first: float, longest: float, healthy_after: float = 60.0) -> None:
        """Set the pauses.

        Args:
            first: Pause after the second crash in a row, in seconds.
            longest: Limit of the pause, in seconds.
            healthy_after: A run of this many seconds counts as healthy.
        """
        self._first = first
        self._longest = longest
        self._healthy_after = healthy_after
        self._crashes = 0

    def pause(self, ran: float) -> float:
        """Seconds to wait after a process that ran for `ran` seconds crashed."""
        if ran >= self._healthy_after:
            self._crashes = 0
        crashes, self._crashes = self._crashes, self._crashes + 1
        if not crashes:  # its clients wait
            return 0.0
        # The exponent is bounded so that a day of crashes does not overflow a float.
        return float(min(self._longest, self._first * 2.0 ** min(crashes - 1, 32)))
