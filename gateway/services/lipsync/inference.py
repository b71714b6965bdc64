"""One call to a tenant's network: frames and audio to Triton, mouths back, whatever the caller."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gateway.errors import ClientGoneError, DeadlineError, GatewayError, UnavailableError
from gateway.services.lipsync.request import MouthRequest
from gateway.services.lipsync.tenants.lease import Lease, leased
from gateway.services.lipsync.tenants.pool import TenantPool
from gateway.triton import Tensor, TritonPort
from gateway.triton.region_files import RegionFile
from gateway.triton.shared_memory import RegionLease, Regions
from gateway.triton.status import (
    LostError,
    MemoryRefusedError,
    RefusedInputError,
    RegionUnknownError,
)
from gateway.triton.tensors import Array, bytes_tensor

REGISTRATIONS = 3  # of a region for one call, should Triton be started again and again
_STATS_TIMEOUT = 5.0
_SLACK = 30.0  # seconds after its deadline in which a model has certainly noticed it
_INLINE = 2**22  # bytes, 0.5 ms of copying: about what asking a thread costs under load
_UNCLEAN = (asyncio.CancelledError, DeadlineError, ClientGoneError, UnavailableError)


@dataclass(frozen=True)
class Due:
    """When frames have to be there.

    Attributes:
        first: the first one, by the monotonic clock.
        spacing: seconds between two.
    """

    first: float
    spacing: float = 0.0

    def tensor(self, now: float) -> Tensor:
        """Return the model's input."""
        values = np.array([self.first - now, self.spacing], np.float32) * 1000
        return Tensor("FP32", (2,), values.tobytes())


@dataclass(frozen=True)
class MouthResult:
    """What the network made of n frames.

    Attributes:
        data: the bytes of [n,3,320,320], in the order of the model's planes.
        device: where it ran.
        compute_ms: wall time of the computation.
        seconds: from its turn on the device to the answer, the model's queue apart.
    """

    data: memoryview
    device: int
    queue_ms: float
    compute_ms: float
    seconds: float

    def frames(self, count: int) -> list[memoryview]:
        """Return the bytes of each of ``count`` frames."""
        size = len(self.data) // count
        return [self.data[start : start + size] for start in range(0, len(self.data), size)]


class MouthInference:
    """Runs calls on the tenants of a pool.

    Args:
        triton: where the models are.
        pool: makes tenants resident and says on which model.
        regions: shared memory for the frames.
    """

    def __init__(
        self,
        triton: TritonPort,
        pool: TenantPool,
        regions: Regions,
        headers: Callable[[], dict[str, str] | None] = lambda: None,
    ) -> None:
        self._triton = triton
        self._pool = pool
        self._regions = regions
        self._headers = headers

    async def run(self, request: MouthRequest, timeout: float) -> MouthResult:
        """As :meth:`running`, with a copy of the answer that may be kept."""
        async with self.running(request, timeout) as result:
            data = memoryview(bytes(result.data))
            return replace(result, data=data)

    @asynccontextmanager
    async def running(
        self, request: MouthRequest, timeout: float, due: Due | None = None
    ) -> AsyncIterator[MouthResult]:
        """Run a tenant's network; the answer's bytes are valid in the block.

        Args:
            request: frames and audio of one call.
            timeout: seconds for everything, a load of the tenant included.
            due: when its frames have to be there; the model computes others' first that are due
                earlier.

        Raises:
            UnknownTenantError: there is no such tenant.
            TenantLoadError: it cannot be loaded.
            DevicesBusyError: more calls than slots and queues hold.
            RefusedInputError: the model refuses the tensors.
            DeadlineError: the time is over.
            UnavailableError: Triton or the model is down.
        """
        deadline = time.monotonic() + timeout
        _, _, size = request.offsets()
        async with leased(self._pool, request.tenant) as lease, self._regions.lease(size) as held:
            begin = time.monotonic()
            region = held.region if held else None
            if region:
                await _fill(request, region)
            reply = await self._compute(lease, request, held, deadline, due)
            queue_ms, compute_ms = (float(number) for number in reply["TIMING"].reshape(-1)[:2])
            lease.report(request.frames, compute_ms)
            seconds = max(0.0, time.monotonic() - begin - queue_ms / 1000)
            data = request.answer(region, reply)
            yield MouthResult(data, lease.device, queue_ms, compute_ms, seconds)

    async def _compute(
        self,
        lease: Lease,
        request: MouthRequest,
        held: RegionLease | None,
        deadline: float,
        due: Due | None,
    ) -> dict[str, Array]:
        """Infer on the lease's model, which may lose the tenant or the region meanwhile, or die."""
        inputs, outputs, placed = request.tensors(held.region if held else None)
        registered = 0
        while True:
            began = time.monotonic()
            seconds = deadline - began
            if seconds <= 0:
                raise DeadlineError
            if due is not None:
                inputs["DUE"] = due.tensor(began)
            try:
                return await self._triton.infer(
                    lease.model, inputs, outputs,
                    timeout=seconds, headers=self._headers(), placed=placed, tell_timeout=True,
                )  # fmt: skip
            except (RegionUnknownError, MemoryRefusedError) as error:
                registered += 1
                if held is None or not placed or registered > REGISTRATIONS:
                    raise
                if not await self._mapped(held.region, error):
                    inputs, outputs, placed = request.tensors(None)
            except RefusedInputError as error:
                if error.code != "tenant_not_loaded":
                    raise
                await lease.renew()
            except _UNCLEAN as error:
                if held:
                    held.abandon(
                        partial(self._ended, lease.model, request.tenant), seconds + _SLACK
                    )
                if not isinstance(error, LostError):
                    raise
                await lease.ask_again(error, began)

    async def _mapped(self, region: RegionFile, error: GatewayError) -> bool:
        """Let a Triton that was started again map a region; False: it now refuses shared memory."""
        if isinstance(error, MemoryRefusedError):
            self._regions.refuse()
            return False
        try:
            await self._regions.register(region)
        except MemoryRefusedError:
            return False
        return True

    async def _ended(self, model: str, tenant: str) -> bool:
        """Whether a model has nothing of a tenant in work.

        Triton hands requests over in order, so the question comes after the call it is about.
        """
        command = bytes_tensor([b'{"op":"stats"}'], rows=False)
        reply = await self._triton.infer(
            model, {"COMMAND": command}, ("REPORT",), timeout=_STATS_TIMEOUT
        )
        report = json.loads(reply["REPORT"].flat[0])
        return not report["tenants"].get(tenant, {}).get("in_flight", 0)


async def _fill(request: MouthRequest, region: RegionFile) -> None:
    """Copy the inputs to the region; large ones in a thread, which the copy leaves the GIL to."""
    audio, _, _ = request.offsets()
    region.bytes[audio : audio + len(request.audio)] = request.audio
    target = region.bytes[: len(request.visual)]
    if len(request.visual) <= _INLINE:
        target[:] = request.visual
        return
    copying = asyncio.ensure_future(asyncio.to_thread(np.copyto, target, request.visual))
    try:
        await asyncio.shield(copying)
    except asyncio.CancelledError:
        await asyncio.wait({copying})  # the region must not change hands under the copy
        raise
