"""What surrounds every inference of a request: readiness, a slot, and the lesson for health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.admission import Admission
from gateway.errors import GatewayError
from gateway.health.attempts import Asking
from gateway.health.monitor import HealthMonitor
from gateway.health.state import ModelState
from gateway.triton.status import LostError


@asynccontextmanager
async def guarded(
    monitor: HealthMonitor, admission: Admission, model: ModelState, deadline: float
) -> AsyncIterator[Asking]:
    """Hold a slot of the service while the block infers with ``model`` through what it gets.

    Args:
        monitor: knows whether the model is there.
        admission: of the service; who waits for the model holds a slot too.
        model: which is asked.
        deadline: of the request, by the monotonic clock.

    Raises:
        UnavailableError: the model is known to be down, and not to come back by itself.
        BusyError: no slot came free.
    """
    monitor.expect(model)
    async with admission.slot():
        try:
            yield Asking(monitor, model, deadline)
        except GatewayError as error:
            if not isinstance(error, LostError):  # else the monitor knows
                monitor.failed(model, error)
            raise
    model.succeeded()
