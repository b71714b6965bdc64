"""Audio features from an encoder whose process may die meanwhile."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import UnavailableError
from gateway.health.attempts import Asking
from gateway.services.lipsync.audio.features import AudioAwayError, AudioFeatures
from gateway.services.lipsync.audio.mel import Floats


@dataclass(frozen=True)
class LastingAudio:
    """Features of `raw_audio` from an encoder whose process may die meanwhile.

    Attributes:
        features: asks the encoder.
        asking: asks it again until a deadline, by the monotonic clock.
    """

    features: AudioFeatures
    asking: Callable[[float], Asking]

    async def of_frames(self, raw: memoryview, frames: int, seconds: float) -> Floats:
        """See :meth:`AudioFeatures.of_frames`; a process that ended is waited for."""
        return await self._ask(lambda left: self.features.of_frames(raw, frames, left), seconds)

    async def of_windows(self, windows: Floats, seconds: float) -> Floats:
        """See :meth:`AudioFeatures.of_windows`; a process that ended is waited for."""
        return await self._ask(lambda left: self.features.of_windows(windows, left), seconds)

    async def _ask(self, ask: Callable[[float], Awaitable[Floats]], seconds: float) -> Floats:
        try:
            return await self.asking(time.monotonic() + seconds)(ask)
        except UnavailableError:
            raise AudioAwayError from None
