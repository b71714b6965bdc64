"""Keeps the models of the enabled services loaded; the only code that loads and unloads."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Any

from gateway.errors import DeadlineError, GatewayError
from gateway.health.engine import Computed, Reports, as_computed, network_fact
from gateway.health.state import TRITON_AWAY, ModelState, State
from gateway.health.turns import Turns
from gateway.telemetry.metrics import Metrics
from gateway.triton import TritonPort
from gateway.triton.placing import (
    gpus_of,
    on_cards,
    on_fewer_cards,
    placed_on,
    with_networks,
    with_one_process,
)
from gateway.triton.status import ServerGoneError
from gateway.triton.tensorrt_plans.choice import Choice, PlanChooser

log = logging.getLogger(__name__)
FEWEST_LOADS = 2  # at once, on however few cores
FIRST_RETRY, LAST_RETRY = 2.0, 60.0  # seconds between attempts to load a model that fails


class Leadership:
    """One gateway process at a time may load models: an advisory lock on a file."""

    def __init__(self, path: Path, *, candidate: bool = True) -> None:
        """``candidate``: whether this gateway wants it at all (`triton.control`)."""
        self._candidate = candidate
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._waits = False

    def held(self) -> bool:
        """Take the lock if it is free; it is given back when the process ends."""
        if not self._candidate:
            return False
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
        """Give the lock back, for good."""
        self._candidate = False
        os.close(self._file)


class ModelLoader:
    """Loads models in the order of their needs, and reloads dead ones."""

    def __init__(
        self,
        triton: TritonPort,
        metrics: Metrics,
        devices: dict[str, str],
        plans: PlanChooser | None = None,
        reports: Reports | None = None,
    ) -> None:
        """``devices`` maps models to the device they are forced to; others run as configured.

        ``plans`` chooses between TensorRT plans and ONNX; without it Triton's configurations hold.
        ``reports`` tell where the networks of a Triton on this machine really compute.
        """
        self._triton = triton
        self._plans = plans
        self._reports = reports
        self._running: dict[str, Choice] = {}
        self._needs: dict[str, tuple[str, ...]] = {}
        self._cards: dict[str, list[int]] = {}
        self._metrics = metrics
        self._devices = devices
        self._retry_at: dict[str, tuple[float, float]] = {}
        self._slow: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        # More than there are cores would only make the first of them wait for the last.
        self._turns = Turns(max(FEWEST_LOADS, os.cpu_count() or 1))

    async def ensure(self, model: ModelState, ready: set[str], rank: int = 0) -> None:
        """Load a model and its needs; where one cannot be loaded, its state says so.

        Args:
            model: what is to be loaded.
            ready: what was loaded a moment ago; gets what is loaded here.
            rank: where many are to be loaded, those of a lower one come first.
        """
        self._needs[model.triton_model] = tuple(model.needs)
        for name in (*model.needs, model.triton_model):
            if name in ready:
                if await self._follow_plan(name):
                    model.engine, model.last_success = "", 0.0  # a canary looks at the new engine
                continue
            if model.state == "ready":
                model.state = "loading"
            async with self._locks.setdefault(name, asyncio.Lock()):  # several may need it
                if await self._lacks(name, ready) and not await self._load_in_turn(name, rank):
                    model.state, model.detail = await self._why_not(name)
                    return
            ready.add(name)
        if model.state == "missing":
            model.state, model.detail = "loading", None

    async def _lacks(self, name: str, ready: set[str]) -> bool:
        """Whether a model is still to be loaded, after another task may have done it."""
        return name not in ready and name not in await self._triton.ready_models()

    async def _why_not(self, name: str) -> tuple[State, str]:
        """Tell a model that Triton cannot load from a slow one and from a Triton that is away."""
        if name in self._slow and await self._triton.live():
            return "loading", f"{name} takes longer than triton.load_timeouts; it is waited for"
        if name in self._retry_at and await self._triton.live():
            return "missing", f"Triton cannot load {name}: run `make models`, see Triton's log"
        self._retry_at.pop(name, None)
        return "loading", TRITON_AWAY

    async def reload(self, names: list[str]) -> None:
        """Unload and load again, so that a dead process is replaced."""
        for name in names:
            async with self._locks.setdefault(name, asyncio.Lock()):
                await self._reload(name)

    async def _reload(self, name: str) -> None:
        self._metrics.reloads.labels(name).inc()
        log.warning("reloading model", extra={"model": name})
        try:
            await self._triton.unload(name)
            await self._unloaded(name)
        except GatewayError as error:
            log.error("unload failed", extra={"model": name, "reason": error.reason})
        if choice := self._running.pop(name, None):
            self._reject(name, choice)
        self._retry_at.pop(name, None)
        await self._load(name)

    async def _unloaded(self, name: str) -> None:
        for _ in range(100):  # unloading returns before running requests are finished
            if name not in await self._triton.ready_models():
                return
            await asyncio.sleep(0.1)

    async def _load_in_turn(self, name: str, rank: int) -> bool:
        async with self._turns.turn(rank):
            return await self._load(name)

    async def _load(self, name: str) -> bool:
        due, pause = self._retry_at.get(name, (0.0, FIRST_RETRY))
        if time.monotonic() < due:
            return False
        begin = time.monotonic()
        try:
            if (choice := await self._choose(name)) is None:
                await self._load_as_configured(name)
            elif not await self._load_chosen(name, choice) and (rest := await self._choose(name)):
                await self._triton.load(name, rest.config)
                self._running[name] = rest
                await self._settle(name)
        except GatewayError as error:
            log.error("model not loaded", extra={"model": name, "reason": error.reason})
            if isinstance(error, DeadlineError):  # Triton goes on, and so does the next round
                self._slow.add(name)
                return False
            self._slow.discard(name)
            if not isinstance(error, ServerGoneError):  # else it is not the model's fault
                self._retry_at[name] = (time.monotonic() + pause, min(2 * pause, LAST_RETRY))
            return False
        self._retry_at.pop(name, None)
        self._slow.discard(name)
        log.info(
            "model loaded", extra={"model": name, "seconds": round(time.monotonic() - begin, 2)}
        )
        return True

    async def _load_as_configured(self, name: str) -> None:
        await self._triton.load(name)
        if device := self._devices.get(name):
            config = placed_on(await self._triton.config(name), device)
            await self._triton.unload(name)
            await self._unloaded(name)
            await self._triton.load(name, config)
        await self._settle(name)

    async def _settle(self, name: str) -> None:
        """Load a model once more with what only its loading and its networks' could tell.

        That is fewer GPUs, and for a caller what its networks run on. Without a GPU there is
        nothing to tell. Triton serves the first load until the second is ready, and after it, too,
        where the second fails.

        Raises:
            GatewayError: Triton does not answer any more.
        """
        config = await self._triton.config(name)
        wanted = await self._placed(name, config) or with_networks(config, await self._facts(name))
        if wanted is None:
            return
        try:
            await self._triton.load(name, wanted)
        except GatewayError as error:
            if not await self._triton.live():
                raise
            log.warning("model not settled", extra={"model": name, "reason": error.reason})
            await self._triton.load(name, config)  # what servers that come later are given, too
            return
        for cards in filter(None, map(gpus_of, wanted.get("instance_group", []))):
            self._cards[name] = cards

    async def _placed(self, name: str, config: dict[str, Any]) -> dict[str, Any] | None:
        """Return a configuration on fewer GPUs or in fewer processes; None: it is well so."""
        fewer, report = on_fewer_cards(config), await self._report(name)
        if report is None or report.provider == "cpu":  # not the embedded server's, or on no GPU
            return fewer
        return with_one_process(fewer or config) or fewer

    async def _report(self, name: str) -> Computed | None:
        return await asyncio.to_thread(self._reports.of, name) if self._reports else None

    async def _facts(self, name: str) -> dict[str, dict[str, Any]]:
        """Return what the networks of a caller run on, of those that are on GPUs."""
        facts = {}
        for network in self._needs.get(name, ()):
            rows = self._plans.most_rows(network) if self._plans else 0
            config = await self._triton.config(network)
            real = as_computed(config, await self._report(network))
            fact = network_fact(real, rows)
            if fact is not None:
                facts[network] = fact
        return facts

    async def _choose(self, name: str) -> Choice | None:
        """Return what to load a model with; None: what Triton finds in the repository."""
        device = self._devices.get(name)
        if self._plans is None or device == "cpu":
            return None
        choice = await asyncio.to_thread(self._plans.choose, name)
        if choice and device:
            return Choice(placed_on(choice.config, device), choice.plan)
        if choice and (cards := self._cards.get(name)):
            return Choice(on_cards(choice.config, cards), choice.plan)
        return choice

    async def _load_chosen(self, name: str, choice: Choice) -> bool:
        """Load a model with a choice; whether it worked. A plan that did not is not tried again.

        Raises:
            GatewayError: it could not be loaded, and not because of a plan.
        """
        try:
            await self._triton.load(name, choice.config)
        except GatewayError:
            if not choice.plan or not await self._triton.live():
                raise
            self._reject(name, choice)
            return False
        self._running[name] = choice
        await self._settle(name)
        return True

    async def _follow_plan(self, name: str) -> bool:
        """Move a loaded model to the plan that has been finished, or away from a stale one.

        Loading over a loaded model leaves no gap: Triton answers with the old instances until the
        new ones are ready, and keeps the old ones where those fail. Both are in memory for that
        moment, which the networks with plans are small enough for.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            choice = await self._choose(name)
            if choice is None:
                return False
            known = self._running.get(name)
            if known is None and not choice.plan:  # loaded by an earlier gateway, perhaps a plan
                running = await self._triton.config(name)
                known = choice if running.get("backend") == choice.config.get("backend") else None
            if known is not None and known.plan == choice.plan:
                self._running[name] = known
                return False
            try:
                changed = await self._load_chosen(name, choice)
            except GatewayError as error:
                log.warning("engine not changed", extra={"model": name, "reason": error.reason})
                return False
            if changed:
                engine = f"plan {choice.plan}" if choice.plan else "onnx"
                log.info("engine changed", extra={"model": name, "engine": engine})
            return changed

    def lacks_plan(self, name: str) -> str:
        """Why a network that is to run from a plan does not; empty where nothing is amiss."""
        return self._plans.lacking(name) if self._plans else ""

    def _reject(self, name: str, choice: Choice) -> None:
        if self._plans and choice.plan:
            log.error("plan not used any more", extra={"model": name, "plan": choice.plan})
            self._plans.reject(choice)
