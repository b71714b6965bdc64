"""What a part is told: the device, how thoroughly, and where its files may lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = ROOT / "model_repository"
QUICK_WIDTH = 0.125


@dataclass(frozen=True)
class Options:
    """The same for all parts of a run.

    Attributes:
        device: torch's name, such as "cuda:0", or "cpu".
        quick: narrow tenants and few repetitions, to try the check itself.
        work: folder of files that parts share, such as tenants.
    """

    device: str
    quick: bool
    work: Path

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device != "cpu"

    @property
    def width(self) -> float:
        """Factor on the width of the lip-sync network."""
        return QUICK_WIDTH if self.quick else 1.0

    @property
    def times(self) -> int:
        """How often a call is timed."""
        return 2 if self.quick else 20

    @property
    def seconds(self) -> float:
        """How long a rate is measured."""
        return 1.0 if self.quick else 10.0
