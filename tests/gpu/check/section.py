"""What came of a part of the check."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
RUNNING = "running"
"""What a part's file says until it is finished."""


class SkippedError(Exception):
    """A part cannot run here; the text says why."""


@dataclass
class Figure:
    """One number, and what it is compared with in the same run.

    Attributes:
        name: what was measured.
        unit: of both numbers.
        device: the number on the device under test.
        other: what it is compared with; None where there is nothing.
        more_is_better: whether a larger number is better.
    """

    name: str
    unit: str
    device: float
    other: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the other."""
        if self.other is None or not self.other or not self.device:
            return None
        return self.device / self.other if self.more_is_better else self.other / self.device


@dataclass
class Section:
    """Outcome of a part.

    Attributes:
        name: the part's.
        state: ``ok``, ``failed`` or ``skipped``.
        reason: why it is not ok.
        headline: the figures that an engineer wants to read at once.
        seconds: how long it took.
        against: what figures are compared with.
        facts: what is worth telling, by its name.
        figures: what was measured.
    """

    name: str
    state: str = OK
    reason: str = ""
    headline: str = ""
    seconds: float = 0.0
    against: str = "CPU, same run"
    facts: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    changed: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    def note(self, name: str, value: Any) -> None:
        """Note a fact."""
        self.facts[name] = value
        self.changed()

    def add(self, name: str, unit: str, device: float, other: float | None = None) -> None:
        """Note a figure of which less is better."""
        self.figures.append(Figure(name, unit, device, other))
        self.changed()

    def rate(self, name: str, unit: str, device: float, other: float | None = None) -> None:
        """Note a figure of which more is better."""
        self.figures.append(Figure(name, unit, device, other, more_is_better=True))
        self.changed()

    def as_json(self) -> dict[str, Any]:
        """Everything, ratios included."""
        kept = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "changed"}
        return {**kept, "figures": [{**asdict(one), "ratio": one.ratio} for one in self.figures]}

    def save(self, file: Path) -> None:
        """Write it; whoever reads sees this state or the one before."""
        part = file.with_suffix(".part")
        part.write_text(json.dumps(self.as_json()))
        os.replace(part, file)

    @classmethod
    def read(cls, file: Path) -> Section:
        """What `save` wrote.

        Raises:
            OSError: nothing was written.
        """
        found = json.loads(file.read_text())
        figures = [
            Figure(**{key: one[key] for key in one if key != "ratio"}) for one in found["figures"]
        ]
        return cls(**{**found, "figures": figures})
