"""Stand-ins for the clients of several Tritons, and a pool of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from gateway.errors import GatewayError, UnavailableError
from gateway.settings.triton import TritonSettings
from gateway.triton import TritonPool
from gateway.triton.status import ModelDeadError, ServerGoneError

NEEDS = ("encoder", "embedding")


class Server:
    """What a client of one server does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.up = True
        self.silent = False
        """Whether it drops what it is sent."""
        self.hung_up_on = False
        self.loaded: list[str] = []
        self.configs: list[Any] = []
        self.running: dict[str, dict[str, Any]] = {}  # parts of loaded configurations
        self.unloads: list[str] = []
        self.aborts: list[str] = []
        self.regions: list[str] = []
        self.failures: list[GatewayError] = []
        self.calls = 0
        self.gate: asyncio.Event | None = None
        self.closed = False
        self.hung_up = asyncio.Event()

    def _check(self) -> None:
        if not self.up:
            raise UnavailableError(retry_after=2)

    async def infer(self, model: str, *_: Any, **__: Any) -> dict[str, Any]:
        self._check()
        self.calls += 1
        if self.gate:
            await self.gate.wait()
            self._check()
            if self.hung_up_on:
                raise ServerGoneError(ran=True)
        if self.failures:
            raise self.failures.pop(0)
        if model not in self.loaded:
            raise ModelDeadError(model)
        return {"SERVER": np.array([self.address])}

    async def stream(self, model: str, *_: Any, **__: Any) -> AsyncGenerator[dict[str, Any], None]:
        yield await self.infer(model)
        if self.failures:
            raise self.failures.pop(0)
        yield {"SERVER": np.array(["end"])}

    def connected(self) -> bool:
        return self.up

    def abort(self, model: str) -> None:
        self.aborts.append(model)

    async def register_memory(self, name: str, size: int) -> None:
        self._check()
        self.regions.append(name)

    async def unregister_memory(self, name: str) -> None:
        self._check()
        self.regions.remove(name)

    async def lost(self) -> None:
        await self.hung_up.wait()
        self.hung_up.clear()

    async def check_memory(self) -> None:
        self._check()

    async def live(self, timeout: float = 10.0) -> bool:
        if self.silent:
            await asyncio.sleep(timeout)
        return self.up and not self.silent

    def hang_up(self) -> None:
        self.hung_up_on = True
        if self.gate:
            self.gate.set()

    async def ready_models(self) -> set[str]:
        self._check()
        return set(self.loaded)

    async def load(self, model: str, config: Any = None) -> None:
        self._check()
        if self.failures:
            raise self.failures.pop(0)
        self.loaded.append(model)
        self.configs.append(config)

    async def unload(self, model: str) -> None:
        self._check()
        self.unloads.append(model)
        self.loaded = [one for one in self.loaded if one != model]

    async def config(self, model: str) -> dict[str, Any]:
        return {"name": model, **self.running.get(model, {})}

    async def statistics(self) -> list[dict[str, Any]]:
        self._check()
        return [{"name": "embedding", "version": "1", "inference_count": "2"}]

    async def server_version(self) -> str:
        return "2.51.0"

    async def close(self) -> None:
        self.closed = True


async def started(servers: dict[str, Server], url: str = "a:1,b:1") -> TritonPool:
    made = TritonPool(TritonSettings(url=url, start=False))
    assert await made.live()
    for name in NEEDS:
        await made.load(name)
    assert await made.ready_models() == set(NEEDS)
    return made


async def ask(tritons: TritonPool) -> str:
    answer = await tritons.infer("embedding", {}, ("SERVER",), timeout=5)
    return str(answer["SERVER"][0])


async def settled(tritons: TritonPool) -> None:
    await asyncio.gather(*tritons.members.repairs.values())
