"""The Tritons of a pool: who is there, who gets work, who must be given models."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from gateway.errors import GatewayError, UnavailableError
from gateway.lookups import look_up
from gateway.settings.triton import TritonSettings
from gateway.triton.client import TritonClient
from gateway.triton.heartbeat import Heartbeat
from gateway.triton.member import Member
from gateway.triton.placing import was_changed
from gateway.triton.status import (
    RETRY_AFTER,
    AdminKeyError,
    MemoryRefusedError,
    ModelDeadError,
    RegionUnknownError,
    ServerGoneError,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
Config = Mapping[str, Any]
# Unavailable, but it is there.
OWN_FAULTS = (AdminKeyError, MemoryRefusedError, RegionUnknownError, ModelDeadError)
UNLOAD_POLLS, UNLOAD_POLL_SECONDS = 100, 0.1  # until a dead model's requests have ended
DNS = "dns:///"
LOOKUP_SECONDS = 5.0  # a name server that is silent must not hold up the looks at the servers


class Members:
    """Every server that ``triton.url`` names.

    Attributes:
        everyone: all of them, live or not.
        wanted: models that this gateway has loaded, in their order, and how they are configured.
        repairs: servers that are being given models.
        lost: set when the connection to one of them ends.
    """

    def __init__(self, settings: TritonSettings, admin_key: str) -> None:
        self._settings = settings
        self._admin_key = admin_key
        self.everyone: list[Member] = []
        self.wanted: dict[str, Config | None] = {}
        self.repairs: dict[Member, asyncio.Task[None]] = {}
        self.lost = asyncio.Event()
        self._watches: dict[Member, asyncio.Task[None]] = {}
        self._leads: Callable[[], bool] = lambda: settings.control
        self._leading = settings.control
        self._needed: tuple[str, ...] = ()
        self._placed: frozenset[str] = frozenset()
        self._unloaded: set[str] = set()
        self._loading: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._turn = itertools.count()
        self._heartbeat = Heartbeat(self.live, self._fell_silent)

    def live(self) -> list[Member]:
        """Return those that answer."""
        return [member for member in self.everyone if member.live]

    def keep(
        self, models: Sequence[str], leads: Callable[[], bool], placed: Collection[str]
    ) -> None:
        """See :meth:`TritonPool.keep`."""
        self._needed, self._leads, self._placed = tuple(models), leads, frozenset(placed)

    def models(self) -> set[str]:
        """Return the models that any live one has, of those that are needed where that is known.

        A model that nobody needs, left on one server by an earlier configuration, must not keep
        the others from work.
        """
        ready = set().union(*(member.ready for member in self.live()))
        return ready.intersection(self._needed) if self._needed else ready

    def pick(self, model: str, tried: set[Member]) -> Member:
        """Return the one with the fewest inferences; those with every model come first.

        Raises:
            ServerGoneError: none is left.
        """
        untried = [member for member in self.live() if member not in tried]
        every = self.models()
        able = [member for member in untried if member.serves(every)]
        if all(member.rests for member in able):
            # While all are still loading, or none is whole and well, the model itself must do.
            able += [
                member
                for member in untried
                if member not in able and model in member.ready and model not in member.broken
            ]
        able = able or untried
        if not able:
            raise ServerGoneError(ran=False)
        turn = next(self._turn)
        rotated = (able[(turn + place) % len(able)] for place in range(len(able)))
        return min(rotated, key=lambda member: member.load)

    def note(self, member: Member, live: bool) -> None:
        """Note whether a server answers; what one that is back has loaded is asked anew."""
        if member.live == live:
            return
        member.live = live
        if live:
            member.ready = set()
            member.broken.clear()
            member.succeeded()  # it may have been started again; it has no past
            log.info("Triton answers", extra={"address": member.address})
        else:
            log.warning("Triton does not answer", extra={"address": member.address})

    def _fell_silent(self, member: Member) -> None:
        if member.live:
            self.note(member, False)
            member.client.hang_up()
            self.lost.set()  # the health monitor is to look when it is back

    async def find(self) -> None:
        """Look the names up again, and open and close channels accordingly.

        A server that has left its name, such as a pod that ends, finishes what it has; it is let
        go when it is idle and others are there with all of its models.
        """
        self._heartbeat.start()
        addresses, complete = await resolve(self._settings.urls)
        known = {member.address for member in self.everyone}
        for address in addresses:
            if address not in known:
                client = TritonClient(self._settings, self._admin_key, address)
                member = Member(address, client)
                self.everyone.append(member)
                self._watches[member] = asyncio.ensure_future(self._watch(member))
        if complete:  # else a name server is away, which is no reason to send anybody home
            for member in self.everyone:
                member.leaving = member.address not in addresses
        every = self.models()
        replaced = any(member.serves(every) for member in self.everyone if not member.leaving)
        for member in [member for member in self.everyone if member.leaving and not member.busy]:
            if replaced or not member.live:
                self._let_go(member)

    async def _watch(self, member: Member) -> None:
        while True:
            await member.client.lost()
            self.lost.set()

    def _let_go(self, member: Member) -> None:
        self.everyone.remove(member)
        self._watches.pop(member).cancel()
        if repair := self.repairs.pop(member, None):
            repair.cancel()
        task = asyncio.ensure_future(member.client.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def on_each(self, act: Callable[[Member], Awaitable[T]]) -> None:
        """Do it on every live one; one that goes away meanwhile is no error while others do it.

        Raises:
            GatewayError: the first failure of a server that is there, or of all.
        """
        members = self.live()
        outcomes = await asyncio.gather(*map(act, members), return_exceptions=True)
        gone, failed = 0, []
        for member, outcome in zip(members, outcomes, strict=True):
            if isinstance(outcome, UnavailableError) and not isinstance(outcome, OWN_FAULTS):
                self.note(member, False)
                gone += 1
            elif isinstance(outcome, BaseException):
                failed.append(outcome)
        if failed:
            raise failed[0]
        if gone == len(members):
            raise UnavailableError(retry_after=RETRY_AFTER)

    def want(self, model: str, config: Config | None) -> None:
        """Note that a model is to be loaded everywhere."""
        self.wanted[model] = config
        self._unloaded.discard(model)
        self._loading.add(model)

    def loaded(self, model: str) -> None:
        """Note that the loading has ended, well or not; servers that lack it follow from now."""
        self._loading.discard(model)

    def unwant(self, model: str) -> None:
        """Note that a model was unloaded on purpose; its place in the order stays."""
        self._unloaded.add(model)

    def follow(self) -> None:
        """Begin to give each server the models that others have and it lacks.

        Whether this gateway has loaded them itself does not matter: it may be younger than they
        are. What no server has is loaded by who loads models, not here.
        """
        self._leading = self._leads()
        if not self._leading:
            for member in self.live():
                member.broken.clear()  # whoever leads may have repaired it: the next call tells
            return
        off = self._unloaded | self._loading
        order = self._needed or tuple(self.wanted)
        present = [model for model in order if model in self.models() and model not in off]
        for member in self.live():
            ready = member.ready - member.broken
            lacking = [model for model in present if model not in ready]
            if lacking := [*lacking, *member.broken.difference(lacking, off)]:
                self.repair(member, lacking)

    def repair(self, member: Member, models: list[str]) -> None:
        """Load these models on one server in the background, as they were loaded elsewhere."""
        if member in self.repairs or not self._leading:
            return  # the next look sees what is still lacking
        task = asyncio.ensure_future(self._bring_up(member, models))
        self.repairs[member] = task
        task.add_done_callback(lambda _: self.repairs.pop(member, None))

    async def close(self) -> None:
        """Close all channels; running calls are cancelled."""
        await self._heartbeat.stop()
        tasks = [*self.repairs.values(), *self._closing, *self._watches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(member.client.close() for member in self.everyone))

    async def _bring_up(self, member: Member, models: list[str]) -> None:
        for model in models:
            named = {"model": model, "address": member.address}
            log.warning("loading model", extra=named)
            try:
                if model in member.broken:
                    await member.client.unload(model)
                    for _ in range(UNLOAD_POLLS):
                        if model not in await member.client.ready_models():
                            break
                        await asyncio.sleep(UNLOAD_POLL_SECONDS)
                elif model in await member.client.ready_models():
                    member.ready.add(model)  # somebody else has loaded it since
                    continue
                await member.client.load(model, await self._config(model, member))
            except GatewayError as error:
                log.error("model not loaded", extra={**named, "reason": error.reason})
                return  # the next look tries again
            member.ready.add(model)
            member.broken.discard(model)

    async def _config(self, model: str, lacking: Member) -> Config | None:
        """How a model is loaded: as this gateway did, else placed as it is on another server."""
        if model not in self.wanted:
            for member in self.live():
                if member is not lacking and model in member.ready:
                    config = await member.client.config(model)
                    if model in self._placed or was_changed(config):
                        self.wanted[model] = config
                    break
        return self.wanted.get(model)


async def resolve(urls: Sequence[str]) -> tuple[list[str], bool]:
    """Return host:port of every server, in a stable order, and whether every name was found.

    Args:
        urls: host:port, or ``dns:///name:port`` for all addresses of a name, such as Kubernetes'
            headless services have. A name that cannot be looked up now gives none.
    """
    resolved = await asyncio.gather(*map(_addresses, urls))
    addresses = [address for some in resolved for address in some]
    return list(dict.fromkeys(addresses)), all(resolved)


async def _addresses(url: str) -> list[str]:
    if not url.startswith(DNS):
        return [url]
    host, _, port = url.removeprefix(DNS).rpartition(":")
    try:
        hosts = await asyncio.wait_for(look_up(host.strip("[]"), int(port)), LOOKUP_SECONDS)
    except (OSError, UnicodeError, asyncio.TimeoutError):
        return []
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in sorted(hosts)]
