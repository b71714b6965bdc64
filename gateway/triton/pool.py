"""Several Tritons as one: balancing, ejection, and model control that reaches all of them.

gRPC's own round robin would hand requests to a Triton that is back but has no models yet (control
is explicit), and could not load models on each. So every server has a channel of its own here, and
serves only while it has every model that the others have.

An inference that fails because its server went away, or because a model's process died there, is
done again on another server: models keep nothing between requests. It is done again RETRIES times
at most, and once where it may be what killed them. Streams are done again only before their first
response. The tenants of lip-sync do live in one Triton; the settings refuse that service here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from gateway.errors import DeadlineError, GatewayError, InferenceError, UnavailableError
from gateway.settings.triton import TritonSettings
from gateway.triton.member import Member
from gateway.triton.members import Config, Members
from gateway.triton.status import (
    CRASHES,
    RETRY_AFTER,
    AdminKeyError,
    LostError,
    MemoryRefusedError,
    ModelDeadError,
    RegionUnknownError,
)
from gateway.triton.tensors import Array, PlacedTensor, RegionSpan, Tensor

log = logging.getLogger(__name__)
RETRIES = 2
BACK_SECONDS = 2.0
"""For a server that was away to say that it is back."""
# No other server would answer otherwise.
_FINAL = (AdminKeyError, MemoryRefusedError, RegionUnknownError)
NAMES = ("batch_size", "type", "id")  # of the items of `batch_stats` and `memory_usage`
LATEST = ("last_inference",)  # times, of which the latest counts


class TritonPool:
    """Implements :class:`gateway.triton.port.TritonPort` with every server of ``triton.url``."""

    def __init__(self, settings: TritonSettings, admin_key: str = "") -> None:
        self.members = Members(settings, admin_key)

    def keep(
        self, models: Sequence[str], leads: Callable[[], bool], placed: Collection[str] = ()
    ) -> None:
        """Say which models the services need, so that every server gets those that any has.

        Args:
            models: in the order in which they are loaded.
            leads: tells whether this gateway loads models now; others only watch.
            placed: those that are not loaded as the repository says.
        """
        self.members.keep(models, leads, placed)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor | PlacedTensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        placed: Mapping[str, RegionSpan] | None = None,
        tell_timeout: bool = False,
    ) -> dict[str, Array]:
        """See :meth:`TritonPort.infer`."""
        end = time.monotonic() + timeout
        tried: set[Member] = set()
        crashes = 0
        while True:
            member = self.members.pick(model, tried)
            tried.add(member)
            member.busy += 1
            try:
                answer = await member.client.infer(
                    model,
                    inputs,
                    outputs,
                    timeout=max(end - time.monotonic(), 0.001),
                    headers=headers,
                    placed=placed,
                    tell_timeout=tell_timeout,
                )
            except GatewayError as error:
                elsewhere = self._elsewhere(model, member, tried, error)
                crashes += isinstance(error, LostError) and error.ran
                if crashes >= CRASHES:  # nobody is to ask again
                    raise UnavailableError(retry_after=RETRY_AFTER) from None
                if not elsewhere:
                    raise
            else:
                member.succeeded()
                return answer
            finally:
                member.busy -= 1

    async def stream(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[dict[str, Array], None]:
        """See :meth:`TritonPort.stream`."""
        end = time.monotonic() + timeout
        tried: set[Member] = set()
        begun = False
        while True:
            member = self.members.pick(model, tried)
            tried.add(member)
            member.busy += 1
            seconds = max(end - time.monotonic(), 0.001)
            answers = member.client.stream(model, inputs, timeout=seconds, headers=headers)
            try:
                async for answer in answers:
                    begun = True
                    yield answer
            except GatewayError as error:
                if not self._elsewhere(model, member, tried, error) or begun:
                    raise
            else:
                member.succeeded()
                return
            finally:
                member.busy -= 1
                await answers.aclose()

    def abort(self, model: str) -> None:
        """See :meth:`TritonPort.abort`; only where the model's process died, if that is known."""
        everyone = self.members.everyone
        guilty = [member for member in everyone if member.broken]  # a need of it may have died
        for member in guilty or everyone:
            member.client.abort(model)

    async def register_memory(self, name: str, size: int) -> None:
        """See :meth:`TritonPort.register_memory`; every server maps it."""
        await self.members.on_each(lambda member: member.client.register_memory(name, size))

    async def unregister_memory(self, name: str) -> None:
        """See :meth:`TritonPort.unregister_memory`."""
        await self.members.on_each(lambda member: member.client.unregister_memory(name))

    async def check_memory(self) -> None:
        """See :meth:`TritonPort.check_memory`; every server is asked."""
        await self.members.on_each(lambda member: member.client.check_memory())

    async def live(self) -> bool:
        """See :meth:`TritonPort.live`: whether any does. Looks for servers that came or went."""
        await self.members.find()
        members = list(self.members.everyone)
        states = await asyncio.gather(*map(self._answers, members))
        for member, live in zip(members, states, strict=True):
            self.members.note(member, live)
        return any(states)

    async def _answers(self, member: Member) -> bool:
        """Whether a server does; one that did not when last asked holds nobody up."""
        if not member.live:
            return await member.client.live(BACK_SECONDS)
        return await member.client.live() and member.live  # it may have fallen silent meanwhile

    async def lost(self) -> None:
        """See :meth:`TritonPort.lost`: any of the servers'."""
        await self.members.lost.wait()
        self.members.lost.clear()

    async def ready_models(self) -> set[str]:
        """See :meth:`TritonPort.ready_models`: what any server has; others are made to follow."""
        members = self.members.live()
        refusals = list(filter(None, await asyncio.gather(*map(self._look, members))))
        if refusals and len(refusals) == len(members):
            raise refusals[0]
        self.members.follow()
        return set().union(*(member.ready for member in members if member.live))

    async def _look(self, member: Member) -> AdminKeyError | None:
        """Read what one server has; one that does not tell is as good as away."""
        try:
            member.ready = await member.client.ready_models()
        except AdminKeyError as error:
            member.ready = set()
            log.error("Triton refuses triton.admin_key", extra={"address": member.address})
            return error
        except GatewayError:
            self.members.note(member, False)
        return None

    async def load(self, model: str, config: Config | None = None) -> None:
        """See :meth:`TritonPort.load`; on every server that has not loaded it."""
        self.members.want(model, config)

        async def load(member: Member) -> None:
            if model not in member.ready:
                await member.client.load(model, config)
                member.ready.add(model)
            member.broken.discard(model)

        try:
            await self.members.on_each(load)
        finally:
            self.members.loaded(model)

    async def unload(self, model: str) -> None:
        """See :meth:`TritonPort.unload`."""
        self.members.unwant(model)

        async def unload(member: Member) -> None:
            member.ready.discard(model)
            await member.client.unload(model)

        await self.members.on_each(unload)

    async def config(self, model: str) -> dict[str, Any]:
        """See :meth:`TritonPort.config`."""
        return await self.members.pick(model, set()).client.config(model)

    async def statistics(self) -> list[dict[str, Any]]:
        """See :meth:`TritonPort.statistics`: the sum over all servers."""
        statistics = [member.client.statistics() for member in self.members.live()]
        outcomes = await asyncio.gather(*statistics, return_exceptions=True)
        return added([outcome for outcome in outcomes if not isinstance(outcome, BaseException)])

    async def server_version(self) -> str:
        """See :meth:`TritonPort.server_version`: of the first that answers."""
        for member in self.members.live():
            with contextlib.suppress(GatewayError):
                return await member.client.server_version()
        raise UnavailableError(retry_after=RETRY_AFTER)

    async def close(self) -> None:
        """Close all channels; running calls are cancelled."""
        await self.members.close()

    def serving(self) -> dict[str, bool]:
        """Return by address which servers answer, have every model and do not rest."""
        every, everyone = self.members.models(), self.members.everyone
        return {member.address: member.serves(every) and not member.rests for member in everyone}

    def _elsewhere(
        self, model: str, member: Member, tried: set[Member], error: GatewayError
    ) -> bool:
        """Learn from a failure; return whether another server may answer this request."""
        if isinstance(error, DeadlineError) or type(error) is InferenceError:
            if len(tried) == 1:  # else others have used most of the time up
                member.failed()
            return False
        if not isinstance(error, UnavailableError) or isinstance(error, _FINAL):
            return False
        others = [other for other in self.members.live() if other is not member]
        if isinstance(error, ModelDeadError):
            if others:  # else the health monitor repairs it, as with a single Triton
                dead = error.model or model
                member.broken.add(dead)
                member.client.abort(model)
                self.members.repair(member, [dead])
        elif not member.client.connected():  # else the model itself refuses, e.g. its queue is full
            self.members.note(member, False)  # the next look brings it back
        return len(tried) <= RETRIES and any(other not in tried for other in others)


def added(servers: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one list of models with all counters summed.

    Args:
        servers: what :meth:`TritonPort.statistics` returns, of each; 64-bit integers are strings.
    """
    total: dict[tuple[str, str], dict[str, Any]] = {}
    for models in servers:
        for model in models:
            key = (str(model.get("name")), str(model.get("version")))
            total[key] = _both(total[key], model) if key in total else model
    return list(total.values())


def _both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        merged[key] = _sum(key, first[key], value) if key in first else value
    return merged


def _sum(key: str, first: Any, second: Any) -> Any:
    if key in ("name", "version", *NAMES):
        return first
    if isinstance(first, dict):
        return _both(first, second)
    if isinstance(first, list):
        items = {_names(item): item for item in first}
        for item in second:
            name = _names(item)
            items[name] = _both(items[name], item) if name in items else item
        return list(items.values())
    if isinstance(first, str):
        values = int(first), int(second)
        return str(max(values) if key in LATEST else sum(values))
    return first + second


def _names(item: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Which batch size, or which memory, an item of a list is about."""
    return tuple((key, item[key]) for key in NAMES if key in item)
