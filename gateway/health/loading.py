"""Keeps the models of the enabled services loaded; the only code that loads and unloads."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from pathlib import Path

from gateway.errors import GatewayError
from gateway.health.engine import placed_on
from gateway.health.state import TRITON_AWAY, ModelState, State
from gateway.telemetry.metrics import Metrics
from gateway.triton import TritonPort

log = logging.getLogger(__name__)
FIRST_RETRY, LAST_RETRY = 2.0, 60.0  # seconds between attempts to load a model that fails


class Leadership:
    """One gateway process at a time may load models: an advisory lock on a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._waits = False

    def held(self) -> bool:
        """Take the lock if it is free; it is given back when the process ends."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not self._waits:
                log.info("another gateway with this state folder loads the models")
            self._waits = True
            return False
        self._waits = False
        return True

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._file)


class ModelLoader:
    """Loads models in the order of their needs, and reloads dead ones."""

    def __init__(self, triton: TritonPort, metrics: Metrics, devices: dict[str, str]) -> None:
        """``devices`` maps models to the device they are forced to; others run as configured."""
        self._triton = triton
        self._metrics = metrics
        self._devices = devices
        self._retry_at: dict[str, tuple[float, float]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def ensure(self, models: list[ModelState], ready: set[str]) -> None:
        """Load what is not loaded; a model that cannot be loaded is reported on its state."""
        await asyncio.gather(*(self._ensure(model, ready) for model in models))

    async def _ensure(self, model: ModelState, ready: set[str]) -> None:
        for name in (*model.needs, model.triton_model):
            if name in ready:
                continue
            if model.state == "ready":
                model.state = "loading"
            async with self._locks.setdefault(name, asyncio.Lock()):  # several may need it
                if name not in ready and not await self._load(name):
                    model.state, model.detail = await self._why_not(name)
                    return
            ready.add(name)
        if model.state == "missing":
            model.state, model.detail = "loading", None

    async def _why_not(self, name: str) -> tuple[State, str]:
        """Tell a model that Triton cannot load from a Triton that went away meanwhile."""
        if await self._triton.live():
            return "missing", f"Triton cannot load {name}: run `make models`, see Triton's log"
        self._retry_at.pop(name, None)
        return "loading", TRITON_AWAY

    async def reload(self, names: list[str]) -> None:
        """Unload and load again, so that a dead process is replaced."""
        for name in names:
            self._metrics.reloads.labels(name).inc()
            log.warning("reloading model", extra={"model": name})
            try:
                await self._triton.unload(name)
                await self._unloaded(name)
            except GatewayError as error:
                log.error("unload failed", extra={"model": name, "reason": error.reason})
            self._retry_at.pop(name, None)
            await self._load(name)

    async def _unloaded(self, name: str) -> None:
        for _ in range(100):  # unloading returns before running requests are finished
            if name not in await self._triton.ready_models():
                return
            await asyncio.sleep(0.1)

    async def _load(self, name: str) -> bool:
        due, pause = self._retry_at.get(name, (0.0, FIRST_RETRY))
        if time.monotonic() < due:
            return False
        begin = time.monotonic()
        try:
            await self._triton.load(name)
            if device := self._devices.get(name):
                config = placed_on(await self._triton.config(name), device)
                await self._triton.unload(name)
                await self._unloaded(name)
                await self._triton.load(name, config)
        except GatewayError as error:
            log.error("model not loaded", extra={"model": name, "reason": error.reason})
            self._retry_at[name] = (time.monotonic() + pause, min(2 * pause, LAST_RETRY))
            return False
        self._retry_at.pop(name, None)
        log.info(
            "model loaded", extra={"model": name, "seconds": round(time.monotonic() - begin, 2)}
        )
        return True
