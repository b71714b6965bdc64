"""Background rounds: keep models loaded, run canaries, repair what died, report the truth.

Triton stays "ready" when a model's process has died, so nothing but an inference proves health.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from gateway.admission import Admission
from gateway.errors import BusyError, DeadlineError, GatewayError, UnavailableError
from gateway.health.computed import Reports, engine_and_device
from gateway.health.loading import Leadership, ModelLoader
from gateway.health.processes import ModelProcesses
from gateway.health.state import (
    TRITON_AWAY,
    ModelState,
    State,
    StillLoadingError,
    readiness,
    why,
    worst,
)
from gateway.health.turns import rank
from gateway.settings.triton import HealthSettings
from gateway.telemetry.log import where
from gateway.telemetry.metrics import Metrics, TritonCollector
from gateway.triton import TritonPort
from gateway.triton.status import (
    NO_FAULT,
    RETRY_AFTER,
    AdminKeyError,
    LostError,
    ModelDeadError,
    NeededModelError,
    ServerGoneError,
)
from gateway.triton.versions import untested

log = logging.getLogger(__name__)
LATE_CANARIES = 3  # in a row that a model may miss before it counts as hung
LOOK = 0.25  # seconds between looks whether a silent model's process is still there
AWAY_PAUSE = 0.25  # seconds between looks whether Triton is back
BACK_POLL = 0.1  # seconds between a waiting request's looks whether its model is back
STABLE = 60.0  # seconds of health after which earlier reloads no longer count


class Probed(Protocol):
    """A service as the monitor sees it."""

    name: str
    models: list[ModelState]
    admission: Admission

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Run a small real inference and return the model's own description of itself."""


class HealthMonitor:
    """Owns the state of every model of the enabled services."""

    def __init__(
        self,
        triton: TritonPort,
        settings: HealthSettings,
        metrics: Metrics,
        loader: ModelLoader,
        leadership: Leadership,
        processes: ModelProcesses,
        reports: Reports,
    ) -> None:
        self._triton = triton
        self._settings = settings
        self._metrics = metrics
        self._loader = loader
        self._leadership = leadership
        self._processes = processes
        self._reports = reports
        self._services: dict[str, Probed] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._tending: dict[int, asyncio.Task[None]] = {}
        self._stopping = False
        self._collector = TritonCollector()
        metrics.add(self._collector)
        self._looked = False
        self.triton_live = False
        self.triton_version = ""
        self._warnings: list[Callable[[], str | None]] = [lambda: untested(self.triton_version)]

    def warn_of(self, warning: Callable[[], str | None]) -> None:
        """Add what :meth:`report` says of Triton while it is not None."""
        self._warnings.append(warning)

    def watch(self, service: Probed) -> None:
        """Add a service before :meth:`start`."""
        self._services[service.name] = service

    def start(self) -> None:
        """Begin the rounds."""
        self._tasks = [
            asyncio.create_task(self._run(), name="health-monitor"),
            asyncio.create_task(self._watch_connection(), name="health-connection"),
        ]

    async def stop(self) -> None:
        """End the rounds."""
        self._stopping = True  # before Python 3.12 wait_for may lose the cancellation below
        tasks = [*self._tasks, *self._tending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._leadership.release()

    def failed(self, model: ModelState, error: GatewayError, began: float = math.inf) -> None:
        """Tell the monitor that an inference failed; it looks at once.

        A model that was unavailable is not ready from now until a canary passes.

        ``began`` is when, by the monotonic clock: what is lost with an earlier process says
        nothing about the one that has taken its place.
        """
        if not isinstance(error, UnavailableError) or isinstance(error, NeededModelError):
            return
        model.last_success = 0.0  # earlier requests prove nothing any more
        self._wake.set()
        if isinstance(error, NO_FAULT) or began < model.healthy_since:
            return
        ready = model.state == "ready"
        if ready or isinstance(error, LostError):  # else it was not even asked
            model.doubted = time.monotonic()
        if not ready:
            return
        model.state, model.detail = "loading", why(error)
        self._export()
        if isinstance(error, ModelDeadError):
            self._triton.abort(model.triton_model)

    def asked_again(self, model: ModelState, error: LostError) -> None:
        """Count an inference that is asked again."""
        cause = "model" if isinstance(error, ModelDeadError) else "server"
        self._metrics.retries.labels(model.triton_model, cause).inc()

    def expect(self, model: ModelState) -> None:
        """Refuse work for a model that nobody is bringing back, or whose Triton was never there.

        Raises:
            UnavailableError: with the seconds after which asking again makes sense.
        """
        stranger = not model.healthy_since and self._looked and not self.triton_live
        coming = model.state == "loading" and not stranger
        if model.state != "ready" and not coming:
            raise UnavailableError(retry_after=RETRY_AFTER)

    async def back(self, model: ModelState, deadline: float) -> None:
        """Wait until a model is ready, for `health.recovery_wait_seconds` at most.

        Raises:
            UnavailableError: it is not by then, or before ``deadline``, or will not be.
        """
        until = min(deadline, time.monotonic() + self._settings.recovery_wait_seconds)
        while model.state != "ready":
            self.expect(model)
            if time.monotonic() >= until:
                raise UnavailableError(retry_after=RETRY_AFTER)
            # Not all of those who wait at the same moment.
            await asyncio.sleep(BACK_POLL * random.uniform(0.5, 1.5))  # noqa: S311

    def leads(self) -> bool:
        """Whether this gateway is the one that loads models."""
        return self._leadership.held()

    def needed(self) -> list[str]:
        """Return the models of all services, each after those that it calls."""
        names = (name for model in self._models() for name in (*model.needs, model.triton_model))
        return list(dict.fromkeys(names))

    def service_state(self, name: str) -> State:
        """Return the state of one service."""
        return worst(self._services[name].models)

    def services(self) -> list[Probed]:
        """Return the watched services."""
        return list(self._services.values())

    def report(self) -> dict[str, Any]:
        """Return the body of ``/readyz`` without URLs."""
        models = {name: service.models for name, service in self._services.items()}
        body = readiness(models, self._settings.optional_services)
        return {**body, "triton": self._triton_state()}

    def _triton_state(self) -> dict[str, Any]:
        warnings = [text for warning in self._warnings if (text := warning())]
        version = self.triton_version or None
        return {"live": self.triton_live, "version": version, "warnings": warnings}

    async def _run(self) -> None:
        while not self._stopping:
            await self._told(self._round())
            self._export()
            try:
                await asyncio.wait_for(self._wake.wait(), self._pause())
                self._wake.clear()
                await asyncio.sleep(0.05)  # many failing requests are one reason to look
            except asyncio.TimeoutError:
                pass

    def _pause(self) -> float:
        return self._settings.canary_interval_seconds if self.triton_live else AWAY_PAUSE

    async def _told(self, work: Awaitable[None]) -> None:
        """Do a part of the monitor's work; what fails is logged, and tried again later."""
        try:
            await work
        except AdminKeyError:
            log.error("Triton refuses triton.admin_key")
            self._set_all("down", "Triton refuses triton.admin_key")
        except GatewayError as error:
            log.warning("health round failed", extra={"reason": error.reason})
        except Exception as error:  # the monitor must outlive its bugs
            log.error("health round broke", extra=where(error))

    async def _watch_connection(self) -> None:
        """Look at once when the connection to Triton ends, also where nobody asks it anything."""
        while True:
            await self._triton.lost()
            self._wake.set()

    async def _round(self) -> None:
        models = self._models()
        live = await self._triton.live()
        if not live:
            if self.triton_live:
                log.error("Triton does not answer")
            self.triton_live, self._looked = False, True
            self._set_all("loading", TRITON_AWAY)
            return
        if not self.triton_live:
            await self._learn_version()
            self.triton_live = self._looked = True
            for model in models:
                model.reloads = 0
        ready = await self._triton.ready_models()
        leads = self._leadership.held()
        for service in self._services.values():
            for model in service.models:
                self._begin(service, model, ready, leads)
        await self._settled()
        self._collector.statistics = await self._triton.statistics()

    def _begin(self, service: Probed, model: ModelState, ready: set[str], leads: bool) -> None:
        """Tend a model in a task of its own, unless the last round's is still at it."""
        key = id(model)  # a task holds its model; a service may have several of one task
        if key not in self._tending:
            task = asyncio.create_task(self._told(self._tend(service, model, ready, leads)))
            self._tending[key] = task
            task.add_done_callback(lambda _: self._tending.pop(key))

    async def _settled(self) -> None:
        """Wait until all models have been tended; no longer than until the next look is due.

        A model that takes minutes to load must not keep the others from being looked at.
        """
        if not self._tending:
            return
        tended = asyncio.ensure_future(asyncio.wait([*self._tending.values()]))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait(
                {tended, woken}, timeout=self._pause(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            tended.cancel()
            woken.cancel()

    async def _learn_version(self) -> None:
        version = await self._triton.server_version()
        if version != self.triton_version and (warning := untested(version)):
            log.warning(warning)
        self.triton_version = version

    async def _tend(self, service: Probed, model: ModelState, ready: set[str], leads: bool) -> None:
        """Load a model, and let it prove itself without waiting for the others."""
        if leads:
            await self._loader.ensure(model, ready, rank=rank(service.name))
        if {*model.needs, model.triton_model} <= ready:
            await self._check(service, model)
        self._export()

    def _models(self) -> list[ModelState]:
        return [model for service in self._services.values() for model in service.models]

    def _set_all(self, state: State, detail: str) -> None:
        for model in self._models():
            model.state, model.detail = state, detail

    async def _check(self, service: Probed, model: ModelState) -> None:
        begin = time.monotonic()
        fresh = begin - model.last_success < self._settings.canary_interval_seconds
        if model.state == "ready" and fresh and not self._wake.is_set():
            return  # requests prove it already
        try:
            model.info = await self._canary(service, model)
            if not model.engine or model.state != "ready":
                await self._identify(model)
        except StillLoadingError:
            model.state, model.detail = "loading", "loads its weights"
            return
        except (BusyError, DeadlineError) as error:
            # Under load a canary may starve; requests that succeed meanwhile prove health, and a
            # machine that is busy with something else is no reason to reload a model.
            starved = model.last_success >= begin - self._settings.canary_interval_seconds
            model.late = 0 if starved else model.late + 1
            if model.late >= LATE_CANARIES:
                await self._failed_canary(model, error)
            return
        except GatewayError as error:
            if isinstance(error, ServerGoneError) and not await self._triton.live():
                self.failed(model, error)  # no fault of the model
            else:
                await self._failed_canary(model, error)
            return
        if model.doubted >= begin:
            self._wake.set()
            return
        now = time.monotonic()
        if model.state != "ready":
            model.healthy_since = now
            log.info("model ready", extra={"model": model.triton_model, "engine": model.engine})
        elif now - model.healthy_since > STABLE:
            model.reloads = 0
        model.state, model.detail, model.late = "ready", None, 0
        model.canary_seconds = now - begin
        model.succeeded()
        self._metrics.canary(model.triton_model, model.canary_seconds, model.info)

    async def _canary(self, service: Probed, model: ModelState) -> dict[str, Any]:
        """Run a canary; its answer is not waited for from a process that is gone.

        Raises:
            GatewayError: what the canary raises, or `ModelDeadError`.
        """
        timeout = self._settings.canary_timeout_seconds
        canary = asyncio.ensure_future(service.canary(model, timeout))
        canary.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            while not (await asyncio.wait({canary}, timeout=LOOK))[0]:
                names = [*model.needs, model.triton_model]
                if dead := await asyncio.to_thread(self._processes.missing, names):
                    raise ModelDeadError(dead[0])
            return canary.result()
        finally:
            canary.cancel()

    async def _identify(self, model: ModelState) -> None:
        model.engine, model.device = await self._computed(model)
        # A model that chooses its engine itself tells which; its config only says `python`.
        model.engine = str(model.info.get("engine") or model.engine)
        model.name = str(model.info.get("model", model.triton_model))

    async def _computed(self, model: ModelState) -> tuple[str, str]:
        """Engine and device of its first network, or of the first that lacks something."""
        networks = model.needs or (model.triton_model,)
        engines = []
        for network in networks:
            report = await asyncio.to_thread(self._reports.of, network)
            engine, device = engine_and_device(await self._triton.config(network), report)
            if why := self._loader.lacks_plan(network):
                engine = f"{engine} (TensorRT: {why})"
            engines.append((not (why or (report and report.reason)), engine, device))
        return min(engines, key=lambda row: row[0])[1:]

    async def _failed_canary(self, model: ModelState, error: GatewayError) -> None:
        log.warning("canary failed", extra={"model": model.triton_model, "reason": error.reason})
        self.failed(model, error)
        now = time.monotonic()
        rests = now - model.last_reload < STABLE  # what kills it again and again finds it down
        spent = model.reloads >= self._settings.reload_attempts and rests
        model.state = "down" if spent else "loading"
        model.detail = "fails its canary inference" + (
            f" after {model.reloads} reloads" if spent else "; being reloaded"
        )
        if spent or not self._leadership.held():
            return
        model.reloads += 1
        model.last_reload = now
        named = error.model if isinstance(error, ModelDeadError) else None
        await self._loader.reload([named] if named else [*model.needs, model.triton_model])
        self._wake.set()  # look again at once

    def _export(self) -> None:
        for name in self._services:
            self._metrics.ready.labels(name).set(self.service_state(name) == "ready")
