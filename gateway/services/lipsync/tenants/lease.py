"""The right to infer with one tenant: it is resident, cannot leave, and a slot is held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gateway.errors import BusyError, GatewayError, UnavailableError
from gateway.health.attempts import Attempts
from gateway.services.lipsync.tenants.device import DevicesBusyError
from gateway.services.lipsync.tenants.pool import TenantPool
from gateway.services.lipsync.tenants.replicas import Replica
from gateway.triton.status import RETRY_AFTER, LostError

log = logging.getLogger(__name__)
RENEWALS = 5


class Lease:
    """See :func:`leased`."""

    def __init__(self, pool: TenantPool, tenant: str) -> None:
        self.tenant = tenant
        self._pool = pool
        self._replica: Replica | None = None
        self._slot: AbstractAsyncContextManager[None] | None = None
        self._renewals = 0
        self._attempts = Attempts(pool.monitor)

    @property
    def model(self) -> str:
        """Triton model to call."""
        return self._held().device.model.triton_model

    @property
    def device(self) -> int:
        """Index of the device."""
        return self._held().device.index

    def report(self, frames: int, compute_ms: float) -> None:
        """Note that an inference of ``frames`` frames has worked."""
        replica = self._held()
        device = replica.device
        device.model.succeeded()
        self._pool.usage.used(self.tenant, frames, compute_ms, self._pool.clock())
        self._pool.metrics.inferred(device.index, self.tenant, frames, compute_ms)
        if self._pool.settings.logging.log_inference_times:
            log.info(
                "inference",
                extra={
                    "tenant": self.tenant,
                    "device": device.index,
                    "frames": frames,
                    "inference_ms": round(compute_ms, 2),
                },
            )

    async def ask_again(self, error: GatewayError, began: float) -> None:
        """After an inference failed, get ready to ask again if it was lost with a process.

        Args:
            error: what the inference ended with.
            began: when it began, by the monotonic clock.

        Raises:
            GatewayError: ``error`` where it is final; else as :meth:`renew`.
        """
        self._attempts.note(self._held().device.model, error, began)
        await self.renew()

    async def renew(self) -> None:
        """Load the tenant again after the model did not have it; then infer once more.

        Raises:
            UnavailableError: it has been lost too often.
            GatewayError: as :func:`leased`.
        """
        replica = self._held()
        await self.close()
        self._renewals += 1
        if self._renewals > RENEWALS:
            raise UnavailableError(retry_after=RETRY_AFTER)
        self._pool.lost(replica)
        await self.open()

    async def open(self) -> None:
        """Take the tenant and a slot of its device."""
        replica = await self._pool.hold(self.tenant)
        slot = replica.device.admission.slot()
        try:
            await slot.__aenter__()
        except BaseException as error:
            self._pool.release(replica)
            if isinstance(error, BusyError):
                raise DevicesBusyError(retry_after=error.retry_after) from None
            raise
        self._replica, self._slot = replica, slot

    async def close(self, error: BaseException | None = None) -> None:
        """Give both back; a model that did not answer is looked at."""
        replica, slot = self._replica, self._slot
        self._replica = self._slot = None
        if replica is None or slot is None:
            return
        self._pool.release(replica)
        if isinstance(error, GatewayError) and not isinstance(error, LostError):
            self._pool.monitor.failed(replica.device.model, error)
        await slot.__aexit__(None, None, None)

    def _held(self) -> Replica:
        if self._replica is None:
            raise asyncio.InvalidStateError("the lease is over")
        return self._replica


@asynccontextmanager
async def leased(pool: TenantPool, tenant: str) -> AsyncIterator[Lease]:
    """Hold a tenant, loading it if it is not resident, and a slot of its device.

    Raises:
        As :meth:`TenantPool.hold`; DevicesBusyError also where too many wait for a slot.
    """
    lease = Lease(pool, tenant)
    await lease.open()
    error: BaseException | None = None
    try:
        yield lease
    except BaseException as raised:
        error = raised
        raise
    finally:
        await lease.close(error)
