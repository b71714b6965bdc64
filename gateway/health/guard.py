"""What surrounds every inference of a request: readiness, a slot, and the lesson for health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.admission import Admission
from gateway.errors import GatewayError
from gateway.health.monitor import HealthMonitor
from gateway.health.state import ModelState


@asynccontextmanager
async def guarded(
    monitor: HealthMonitor, admission: Admission, model: ModelState
) -> AsyncIterator[None]:
    """Hold a slot of the service while the block infers with ``model``.

    Raises:
        UnavailableError: the model is known to be down.
        BusyError: no slot came free.
    """
    monitor.require(model)
    async with admission.slot():
        try:
            yield
        except GatewayError as error:
            monitor.failed(model, error)
            raise
    model.succeeded()
