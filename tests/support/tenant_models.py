"""A stand-in for the lip-sync models of all devices, strict about what a pool may ask of them."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gateway.admission import Admission
from gateway.errors import GatewayError
from gateway.health.state import ModelState
from gateway.services.lipsync.tenants.catalogue import TenantCatalogue, TenantEntry
from gateway.services.lipsync.tenants.device import Commands, Device
from gateway.services.lipsync.tenants.lease import Lease, leased
from gateway.services.lipsync.tenants.metrics import PoolMetrics
from gateway.services.lipsync.tenants.pool import TenantPool
from gateway.settings.lipsync import LipsyncSettings
from gateway.telemetry.metrics import Metrics
from gateway.triton.status import LostError, ModelDeadError, RefusedInputError
from gateway.triton.tensors import Array, Tensor, to_array
from tests.support.waiting import PATIENCE, passed


@dataclass
class ToyModels:
    """The commands of the models by name; files hold a tenant's weights as text.

    Attributes:
        kind: of the device, `cpu` or `cuda`.
        load_seconds: how long a load takes, by tenant, or what it waits for; others take no time.
        memory: measured bytes by tenant.
        resident: weights by model and tenant.
        in_flight: inferences under way by model and tenant.
        dead: models whose process died; loading the model anew takes it off.
        lives: how often each model's process has died.
        peak: most residents there ever were.
        wrongs: what a correct pool never does.
    """

    load_seconds: dict[str, float | asyncio.Event] = field(default_factory=dict)
    kind: str = "cpu"
    memory: dict[str, int] = field(default_factory=dict)
    resident: dict[str, dict[str, str]] = field(default_factory=dict)
    in_flight: dict[tuple[str, str], int] = field(default_factory=dict)
    loads: list[tuple[str, str]] = field(default_factory=list)
    unloads: list[tuple[str, str]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    lives: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    wrongs: list[str] = field(default_factory=list)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> dict[str, Array]:
        """A command, as TritonPort."""
        tensor = inputs["COMMAND"]
        command = json.loads(to_array(tensor.datatype, tensor.shape, tensor.data).flat[0])
        if model in self.dead:
            raise ModelDeadError(model)
        report = await getattr(self, f"_{command['op']}")(model, command)
        return {"REPORT": np.array([json.dumps(report).encode()], object)}

    async def frames(self, lease: Lease, seconds: float | asyncio.Event = 0.0) -> str:
        """Infer with a lease for so long, or until told: returns the weights that were used."""
        model, tenant = lease.model, lease.tenant
        if model in self.dead:
            raise ModelDeadError(model)
        if tenant not in self.resident.get(model, {}):
            raise RefusedInputError("tenant_not_loaded")
        key = (model, tenant)
        self.in_flight[key] = self.in_flight.get(key, 0) + 1
        weights = self.resident[model][tenant]
        try:
            await passed(seconds)
            if model in self.dead:
                raise ModelDeadError(model)
        finally:
            self.in_flight[key] -= 1
        lease.report(1, 10.0)
        return weights

    def kill(self, model: str) -> None:
        """Let the model's process die, and its tenants with it."""
        self.dead.add(model)
        self.resident.pop(model, None)
        self.lives[model] = self.lives.get(model, 0) + 1

    def restart(self, model: str) -> None:
        """Load the model anew: it has no tenants."""
        self.dead.discard(model)
        self.resident.pop(model, None)

    async def _load(self, model: str, command: Mapping[str, Any]) -> dict[str, Any]:
        tenant, file = command["tenant"], Path(command["path"])
        self.loads.append((model, tenant))
        life = self.lives.get(model)
        await passed(self.load_seconds.get(tenant, 0))
        if life != self.lives.get(model):
            raise ModelDeadError(model)
        if not file.is_file():
            raise RefusedInputError("tenant_file_missing")
        weights = file.read_text()
        if weights == "bad":
            raise RefusedInputError("tenant_file_invalid")
        table = self.resident.setdefault(model, {})
        if tenant in table and not command["force"]:
            self.wrongs.append(f"{tenant} loaded twice on {model}")
        table[tenant] = weights
        self.peak = max(self.peak, sum(map(len, self.resident.values())))
        return {"memory_bytes": self.memory.get(tenant, 100), "graph": "cafe" * 16}

    async def _unload(self, model: str, command: Mapping[str, Any]) -> dict[str, Any]:
        tenant = command["tenant"]
        self.unloads.append((model, tenant))
        if self.in_flight.get((model, tenant)):
            self.wrongs.append(f"{tenant} unloaded from {model} while in use")
        await asyncio.sleep(0)
        return {"unloaded": self.resident.get(model, {}).pop(tenant, None) is not None}

    async def _stats(self, model: str, command: Mapping[str, Any]) -> dict[str, Any]:
        tenants = {
            tenant: {"memory_bytes": self.memory.get(tenant, 100), "graph": "cafe" * 16}
            for tenant in self.resident.get(model, {})
        }
        device = {
            "kind": self.kind, "index": 0, "name": "Toy", "memory_total_bytes": 2**34,
            "memory_used_bytes": 2**30,
        }  # fmt: skip
        return {"device": device, "tenants": tenants, "engine": "toy", "model": model}


class Watcher:
    """The health monitor as the pool sees it: a dead model is down until it is loaded anew."""

    def __init__(self) -> None:
        self.failures: list[GatewayError] = []

    def failed(self, model: ModelState, error: GatewayError, began: float = math.inf) -> None:
        self.failures.append(error)
        if isinstance(error, ModelDeadError):
            model.state = "loading"

    def asked_again(self, model: ModelState, error: LostError) -> None:
        pass


@dataclass
class House:
    """A pool over toy models, with a folder of tenants."""

    folder: Path
    settings: LipsyncSettings
    models: ToyModels
    pool: TenantPool
    watcher: Watcher
    metrics: Metrics

    def write(self, tenant: str, weights: str) -> Path:
        """Put a tenant's file there."""
        file = self.folder / f"{tenant}.onnx"
        file.write_text(weights)
        return file

    def entry(self, tenant: str, **values: Any) -> TenantEntry:
        """A catalogue entry for a file of the folder."""
        return TenantEntry(tenant, f"{tenant}.onnx", self.folder / f"{tenant}.onnx", **values)

    async def infer(self, tenant: str, seconds: float | asyncio.Event = 0.0) -> str:
        """One call, tried again as the gateway does."""
        async with leased(self.pool, tenant) as lease:
            while True:
                began = time.monotonic()
                try:
                    return await self.models.frames(lease, seconds)
                except RefusedInputError:
                    await lease.renew()
                except ModelDeadError as error:
                    await lease.ask_again(error, began)

    def resident(self) -> set[str]:
        """Who the pool says is resident."""
        return {row.id for row in self.pool.rows() if row.state == "resident"}


def house(
    folder: Path, tenants: int = 4, clock: Callable[[], float] = time.monotonic, **settings: Any
) -> House:
    """A pool whose devices are ready; tenant ``t0``'s weights are ``w0``, and so on."""
    server = {"slot_wait_seconds": PATIENCE, **settings.pop("server", {})}
    capacity = {"min_residency_seconds": 0.0, **settings.pop("capacity", {})}
    made = LipsyncSettings(server=server, capacity=capacity, **settings)
    models, watcher, metrics = ToyModels(), Watcher(), Metrics()
    devices = [
        Device(
            index,
            ModelState("lip-sync", name, (), state="ready"),
            Commands(models, name, 10.0),  # type: ignore[arg-type]
            Admission(made.server.calls_at_once(on_gpu=False), made.max_concurrent, 5.0),
        )
        for index, name in enumerate(made.device_models)
    ]
    pool_metrics = PoolMetrics(metrics, made.metrics_tenants)
    pool = TenantPool(made, devices, watcher, pool_metrics, clock)  # type: ignore[arg-type]
    found = House(folder, made, models, pool, watcher, metrics)
    for number in range(tenants):
        found.write(f"t{number}", f"w{number}")
    pool.adopt(TenantCatalogue(found.entry(f"t{number}") for number in range(tenants)))
    return found
