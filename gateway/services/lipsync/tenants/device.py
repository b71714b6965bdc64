"""One device: its Triton model with the commands load, unload and stats, and its slots."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.admission import Admission
from gateway.errors import BusyError, GatewayError
from gateway.health.state import ModelState
from gateway.services.lipsync.tenants.catalogue import TenantEntry
from gateway.triton import TritonPort
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import bytes_tensor


class TenantLoadError(GatewayError):
    """A tenant cannot be loaded; the fault is its own, or there is no room for it.

    Attributes:
        words: as the old server put them into `error`.
        cause: the part that says why, for a person.
    """

    status, reason = 422, "tenant_load"

    def __init__(self, tenant: str, cause: str) -> None:
        self.cause = cause
        self.words = f"Failed to load model '{tenant}': {cause}"
        super().__init__(self.words)


class NotLoadedError(GatewayError):
    """The tenant is not resident on any device."""

    status, reason = 409, "tenant_not_loaded"

    def __init__(self, tenant: str) -> None:
        self.words = f"model '{tenant}' not loaded"
        super().__init__(self.words)


class DevicesBusyError(BusyError):
    """More work than the devices' slots and queues hold."""

    default_detail = "All devices are busy - retry later"


UNLOAD_TIMEOUT = 300.0  # seconds; the model first finishes what it has of the tenant
_CAUSES = {
    "tenant_file_missing": "model file not found",
    "tenant_file_invalid": "failed to create inferencer: the file is not a usable ONNX model",
    "tenant_contract": "failed to create inferencer: the model's inputs and outputs are not the "
    "documented ones",
    "tenant_unsuitable": "failed to create inferencer: the engine cannot run this graph",
    "tenant_out_of_memory": "failed to create inferencer: out of memory",
}
"""Codes of the model's refusals, and what the client reads."""


@dataclass(frozen=True)
class LoadReport:
    """What the model says of a tenant it has loaded.

    Attributes:
        memory_bytes: measured.
        graph: hash of its graph.
        imported: whether its file had to be imported first.
    """

    memory_bytes: int
    graph: str
    imported: bool


@dataclass(frozen=True)
class TenantStats:
    """What the model says of a resident tenant."""

    memory_bytes: int = 0
    graph: str = ""


@dataclass(frozen=True)
class DeviceStats:
    """What the model says of its device.

    Attributes:
        kind: ``cpu`` or ``cuda``.
        memory_total_bytes: of the hardware.
        memory_used_bytes: of the hardware.
        frames_per_second: what it makes while it is busy; None: it has not made any.
        workers: frames, or batches of them, that it computes at once.
        info: everything, as it came.
    """

    kind: str = "cpu"
    index: int = 0
    name: str = ""
    memory_total_bytes: int = 0
    memory_used_bytes: int = 0
    engine: str = ""
    frames_per_second: float | None = None
    workers: int = 1
    tenants: Mapping[str, TenantStats] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceFigures:
    """What all devices say of themselves.

    Attributes:
        frames_per_second: that they make when they are busy; None: not known yet.
        workers: frames, or batches of them, that they compute at once.
    """

    frames_per_second: float | None
    workers: int


class Commands:
    """Control of one device's model.

    Args:
        triton: where it is loaded.
        model: its name.
        load_timeout: longest load in seconds, the import included.
    """

    def __init__(self, triton: TritonPort, model: str, load_timeout: float) -> None:
        self._triton = triton
        self._model = model
        self._load_timeout = load_timeout

    async def load(self, entry: TenantEntry, *, force: bool) -> LoadReport:
        """Load a tenant; ``force`` replaces the weights of one that is loaded.

        Raises:
            TenantLoadError: its file is missing, invalid or too large.
            GatewayError: the model does not answer.
        """
        command = {"op": "load", "tenant": entry.tenant, "path": str(entry.file), "force": force}
        try:
            reply = await self._send(command, self._load_timeout)
        except RefusedInputError as error:
            cause = _CAUSES.get(error.code, "failed to create inferencer")
            raise TenantLoadError(entry.tenant, cause) from None
        return LoadReport(
            memory_bytes=int(reply.get("memory_bytes", 0)),
            graph=str(reply.get("graph", "")),
            imported=bool(reply.get("imported", False)),
        )

    async def unload(self, tenant: str) -> None:
        """Unload a tenant once what the model has of it is finished.

        Raises:
            GatewayError: the model does not answer.
        """
        await self._send({"op": "unload", "tenant": tenant}, UNLOAD_TIMEOUT)

    async def stats(self, timeout: float) -> DeviceStats:
        """Return what the model says of itself.

        Raises:
            GatewayError: it does not answer, or not in the agreed form.
        """
        reply = await self._send({"op": "stats"}, timeout)
        try:
            device = reply["device"]
            return DeviceStats(
                kind=str(device["kind"]),
                index=int(device.get("index", 0)),
                name=str(device.get("name", "")),
                memory_total_bytes=int(device.get("memory_total_bytes") or 0),
                memory_used_bytes=int(device.get("memory_used_bytes") or 0),
                engine=str(reply.get("engine", "")),
                frames_per_second=float(reply.get("frames_per_second") or 0) or None,
                workers=int(reply.get("workers") or 1),
                tenants={
                    str(tenant): TenantStats(
                        int(row.get("memory_bytes") or 0), str(row.get("graph") or "")
                    )
                    for tenant, row in reply["tenants"].items()
                },
                info=reply,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise GatewayError("the model's stats are not understood") from None

    async def _send(self, command: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        tensor = bytes_tensor([json.dumps(command).encode()], rows=False)
        reply = await self._triton.infer(
            self._model, {"COMMAND": tensor}, ("REPORT",), timeout=timeout
        )
        return dict(json.loads(reply["REPORT"].flat[0]))


LOADS = 2  # at once per device: loads and imports leave the cores to frames


class Device:
    """A place for tenants.

    Args:
        index: its number.
        model: its Triton model as health sees it.
        commands: control of that model.
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
