"""Whether the gateway still takes work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Set once, by the first signal."""

    draining: bool = False
