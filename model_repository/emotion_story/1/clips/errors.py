"""Why a clip cannot be used, one code for each reason, and the limits on clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class ClipError(ValueError):
    """A clip that cannot be used; the text is `code: reason` and may go to its sender.

    Attributes:
        code: clip_empty, clip_invalid, clip_truncated, clip_too_large or clip_too_long.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


@dataclass(frozen=True)
class ClipLimits:
    """What is refused before anything is decoded.

    Attributes:
        max_bytes: Size of the file.
        max_pixels: Width x height of a frame.
        max_seconds: Duration.
        max_frames: Frames of the video track.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 1 << 22
    max_seconds: float = 120.0
    max_frames: int = 7200

    @classmethod
    def of(cls, number: Mapping[str, int]) -> ClipLimits:
        """Return what a model's parameters say."""
        return cls(
            *(number[f"max_clip_{unit}"] for unit in ("bytes", "pixels", "seconds", "frames"))
        )

    def check(self, **found: float) -> None:
        """Compare what a clip has of bytes, pixels, seconds and frames.

        Raises:
            ClipError: Too large or too long.
        """
        for unit, value in found.items():
            most = getattr(self, f"max_{unit}")
            if value > most:
                code = "clip_too_large" if unit in ("bytes", "pixels") else "clip_too_long"
                raise ClipError(code, f"more than {most} {unit}")
