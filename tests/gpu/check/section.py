"""A part of the check, and what came of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


class SkippedError(Exception):
    """A part cannot run here; the text says why."""


@dataclass
class Figure:
    """One number, on the device and on this machine's CPU in the same run.

    Attributes:
        name: what was measured.
        unit: of both numbers.
        device: the number on the device under test.
        cpu: the same on the CPU; None where it was not measured.
        more_is_better: whether a larger number is better.
    """

    name: str
    unit: str
    device: float
    cpu: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the CPU."""
        if self.cpu is None or not self.cpu or not self.device:
            return None
        return self.device / self.cpu if self.more_is_better else self.cpu / self.device


@dataclass
class Section:
    """Outcome of a part: ``ok``, ``failed`` or ``skipped``."""

    name: str
    state: str = "ok"
    reason: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, unit: str, device: float, cpu: float | None = None) -> None:
        """Note a figure of which less is better."""
        self.figures.append(Figure(name, unit, device, cpu))

    def rate(self, name: str, unit: str, device: float, cpu: float | None = None) -> None:
        """Note a figure of which more is better."""
        self.figures.append(Figure(name, unit, device, cpu, more_is_better=True))

    def as_json(self) -> dict[str, Any]:
        """Everything, ratios included."""
        figures = [{**asdict(one), "ratio": one.ratio} for one in self.figures]
        return {**asdict(self), "figures": figures}


def measured(name: str, part: Callable[[Section], None]) -> Section:
    """Run a part; whatever it raises is its outcome."""
    section = Section(name)
    begin = time.monotonic()
    try:
        part(section)
    except SkippedError as reason:
        section.state, section.reason = "skipped", str(reason)
    except Exception as error:
        section.state = "failed"
        section.reason = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    section.seconds = round(time.monotonic() - begin, 1)
    return section
