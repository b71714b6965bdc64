"""One device: its Triton model, its slots, and what it last said of itself."""

from __future__ import annotations

import asyncio

from gateway.admission import Admission
from gateway.health.state import ModelState
from gateway.services.lipsync.tenants.commands import Commands, DeviceStats

LOADS = 2  # at once per device: loads and imports leave the cores to frames


class Device:
    """A place for tenants.

    Args:
        index: its number.
        model: its Triton model as health sees it.
        commands: control of that model.
        admission: its slots.
    """

    def __init__(
        self, index: int, model: ModelState, commands: Commands, admission: Admission
    ) -> None:
        self.index = index
        self.model = model
        self.commands = commands
        self.admission = admission
        self.loads = asyncio.Semaphore(LOADS)
        self.stats = DeviceStats()
        self.pending = 0  # calls that wait for their tenant's load

    @property
    def usable(self) -> bool:
        """Whether it passes its canary."""
        return self.model.state == "ready"

    @property
    def saturated(self) -> bool:
        """Whether a further call would have to wait."""
        return self.admission.in_flight >= self.admission.slots

    @property
    def busy(self) -> int:
        """Calls in work and waiting."""
        return self.admission.in_flight + self.admission.waiting + self.pending
