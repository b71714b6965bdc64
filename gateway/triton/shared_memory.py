"""Regions of POSIX shared memory through which frames reach Triton on the same machine.

61 MB take 298 ms through gRPC and 17 ms this way. A region belongs to one call at a time, and
returns to the others only when Triton is certainly done with it: a cancelled inference may still
write its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from gateway.errors import GatewayError, UnavailableError
from gateway.settings.triton import CLIENT_MEMORY_OPTION, LOCAL
from gateway.telemetry.log import where
from gateway.triton.port import TritonPort
from gateway.triton.region_files import RegionFile, remove_leftovers
from gateway.triton.status import MemoryRefusedError

log = logging.getLogger(__name__)
Transport = Literal["auto", "shared_memory", "grpc"]
REFUSED = (
    "Triton lets no client use shared memory: frames travel through gRPC, more slowly. "
    f"Start it with {CLIENT_MEMORY_OPTION}=true"
)
RETRY_SECONDS = 60.0  # before shared memory is tried again where Triton could not map it
REST_SECONDS = 1.0  # in which a model has noticed a cancellation and finished its frame
POLL_SECONDS = 0.2  # between questions whether an abandoned inference has ended
LEFTOVER_SECONDS = 30.0  # in which inferences of a gateway that died have ended in Triton
_STEP = 2**20


def rounded(size: int) -> int:
    """Return the size of the region for ``size`` bytes: at most an eighth of it is waste.

    Few different sizes make regions fit other calls too.
    """
    step = max(_STEP, (1 << (size - 1).bit_length()) // 16) if size > 1 else _STEP
    return -(-size // step) * step


class RegionLease:
    """A region for the time of one call."""

    def __init__(self, region: RegionFile) -> None:
        self.region = region
        self._ended: Callable[[], Awaitable[bool]] | None = None
        self._longest = 0.0

    def abandon(self, ended: Callable[[], Awaitable[bool]], longest: float) -> None:
        """Say that Triton may still use the region after the call.

        Args:
            ended: tells whether the inference has ended in Triton.
            longest: seconds after which it has ended for certain.
        """
        self._ended, self._longest = ended, longest

    async def wait_ended(self) -> None:
        """Return when Triton is done with the region."""
        end = time.monotonic() + self._longest
        await asyncio.sleep(min(REST_SECONDS, self._longest))
        while self._ended and time.monotonic() < end:
            with contextlib.suppress(GatewayError):  # nobody can tell: the time decides
                if await self._ended():
                    return
            await asyncio.sleep(POLL_SECONDS)

    @property
    def abandoned(self) -> bool:
        """Whether the region must rest before it serves another call."""
        return self._ended is not None


class Regions:
    """A bounded pool of regions, made on demand and kept for later calls.

    Args:
        url: Triton's gRPC address; tells whether it can be on this machine.
        transport: ``grpc`` never uses regions, ``auto`` does where Triton is on this machine.
        limit: bytes of all regions together.
    """

    def __init__(self, triton: TritonPort, url: str, transport: Transport, limit: int) -> None:
        self._triton = triton
        self._limit = limit
        local = url.startswith(LOCAL)
        self._wanted = transport == "shared_memory" or (transport == "auto" and local)
        self._retry_at = 0.0
        self._look_at = 0.0
        self._refused = False
        self._free: list[RegionFile] = []  # least recently used first
        self._resting: dict[asyncio.Task[None], RegionFile] = {}
        self._unmapping: set[asyncio.Task[None]] = set()
        self._total = 0
        self._leftovers = remove_leftovers() if self._wanted else []
        self._cleaning: asyncio.Task[None] | None = None

    @property
    def total_bytes(self) -> int:
        """Bytes of all regions that exist."""
        return self._total

    def warning(self) -> str | None:
        """Return what a person should know: that Triton refuses shared memory, and what helps."""
        return REFUSED if self._refused else None

    async def look(self) -> None:
        """Ask Triton, once a minute, whether it lets clients use shared memory at all."""
        if not self._wanted or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + RETRY_SECONDS
        try:
            await self._triton.check_memory()
        except MemoryRefusedError:
            self.refuse()
        except GatewayError:
            self._look_at = 0.0  # it is away
        else:
            self._allow()

    def refuse(self) -> None:
        """Note that Triton refuses shared memory; calls go on without it."""
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if not self._refused:
            log.warning(REFUSED)
        self._refused = True

    @asynccontextmanager
    async def lease(self, size: int) -> AsyncIterator[RegionLease | None]:
        """Hold a region of at least ``size`` bytes; None: send the tensors through gRPC."""
        region = await self._take(size)
        if region is None:
            yield None
            return
        lease = RegionLease(region)
        try:
            yield lease
        finally:
            if lease.abandoned:
                task = asyncio.ensure_future(self._rest(lease))
                self._resting[task] = region
                task.add_done_callback(self._resting.pop)
            else:
                self._free.append(region)

    async def register(self, region: RegionFile) -> None:
        """Let Triton map a region, e.g. again after Triton was restarted.

        Raises:
            MemoryRefusedError: Triton lets no client use shared memory.
            GatewayError: Triton is down, or cannot map it.
        """
        try:
            await self._triton.register_memory(region.name, region.size)
        except MemoryRefusedError:
            self.refuse()
            raise
        self._allow()

    async def close(self) -> None:
        """Remove all regions; those that Triton may still use are unmapped when it ends."""
        if self._cleaning:
            self._cleaning.cancel()
        for task, region in list(self._resting.items()):
            task.cancel()
            region.remove()
        while self._free:
            self._destroy(self._free.pop())
        await asyncio.gather(*self._unmapping)

    def _allow(self) -> None:
        if self._refused:
            log.info("Triton lets clients use shared memory again")
            self._retry_at = 0.0
        self._refused = False

    async def _take(self, size: int) -> RegionFile | None:
        if not self._wanted or time.monotonic() < self._retry_at:
            return None
        if self._leftovers:
            self._cleaning = asyncio.ensure_future(self._unmap_leftovers(self._leftovers))
            self._leftovers = []
        size = rounded(size)
        fitting = [region for region in self._free if size <= region.size <= 2 * size]
        if fitting:
            region = min(fitting, key=lambda region: region.size)
            self._free.remove(region)
            return region
        while self._total + size > self._limit and self._free:
            self._destroy(self._free.pop(0))
        if self._total + size > self._limit:
            return None
        making = asyncio.ensure_future(self._create(size))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._keep)
            raise

    async def _create(self, size: int) -> RegionFile | None:
        self._total += size
        try:
            # The kernel clears the pages, about 0.3 ms a MiB.
            region = await asyncio.to_thread(RegionFile, size)
        except OSError as error:
            self._total -= size
            self._give_up(error)
            return None
        try:
            await self.register(region)
        except GatewayError as error:
            self._destroy(region)
            if not isinstance(error, UnavailableError):  # else Triton is away for a moment
                self._give_up(error)
            return None
        return region

    def _give_up(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        log.warning("frames travel without shared memory", extra=where(error))

    def _keep(self, making: asyncio.Task[RegionFile | None]) -> None:
        """Take in a region whose call was cancelled before it was ready."""
        if not making.cancelled() and (region := making.result()):
            self._free.append(region)

    async def _rest(self, lease: RegionLease) -> None:
        await lease.wait_ended()
        self._free.append(lease.region)

    def _destroy(self, region: RegionFile) -> None:
        self._total -= region.size
        region.remove()
        task = asyncio.ensure_future(self._unmap(region.name))
        self._unmapping.add(task)
        task.add_done_callback(self._unmapping.discard)

    async def _unmap_leftovers(self, names: list[str]) -> None:
        """Let Triton unmap what a dead gateway left, which only keeps the memory."""
        await asyncio.sleep(LEFTOVER_SECONDS)
        for name in names:
            await self._unmap(name)

    async def _unmap(self, name: str) -> None:
        with contextlib.suppress(GatewayError):  # it went away with Triton
            await self._triton.unregister_memory(name)
