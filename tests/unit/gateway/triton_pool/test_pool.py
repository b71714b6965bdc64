"""Several Tritons as one, with stand-ins for the servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from gateway.errors import BusyError, DeadlineError, GatewayError, InferenceError, UnavailableError
from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient, TritonPool, connect, member, members
from gateway.triton.pool import RETRIES
from gateway.triton.status import AdminKeyError, ModelDeadError, RegionUnknownError

NEEDS = ("encoder", "embedding")


class Server:
    """What a client of one server does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.up = True
        self.loaded: list[str] = []
        self.configs: list[Any] = []
        self.unloads: list[str] = []
        self.aborts: list[str] = []
        self.regions: list[str] = []
        self.failures: list[GatewayError] = []
        self.calls = 0
        self.gate: asyncio.Event | None = None
        self.closed = False

    def _check(self) -> None:
        if not self.up:
            raise UnavailableError(retry_after=2)

    async def infer(self, model: str, *_: Any, **__: Any) -> dict[str, Any]:
        self._check()
        self.calls += 1
        if self.gate:
            await self.gate.wait()
            self._check()
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

    async def live(self) -> bool:
        return self.up

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
        return {"name": model}

    async def statistics(self) -> list[dict[str, Any]]:
        self._check()
        return [{"name": "embedding", "version": "1", "inference_count": "2"}]

    async def server_version(self) -> str:
        return "2.51.0"

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Server]:
    made: dict[str, Server] = {}

    def client(_: TritonSettings, __: str, address: str) -> Server:
        return made.setdefault(address, Server(address))

    monkeypatch.setattr(members, "TritonClient", client)
    return made


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


async def test_one_address_is_the_plain_client() -> None:
    single = connect(TritonSettings(url="127.0.0.1:1"))
    assert type(single) is TritonClient
    await single.close()
    assert type(connect(TritonSettings(url="a:1, b:1", start=False))) is TritonPool
    assert type(connect(TritonSettings(url="dns:///a:1", start=False))) is TritonPool


async def test_models_are_loaded_on_each_and_work_alternates(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    assert all(server.loaded == list(NEEDS) for server in servers.values())
    assert [await ask(tritons) for _ in range(4)].count("a:1") == 2


async def test_the_less_busy_server_is_asked(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    servers["a:1"].gate = asyncio.Event()
    waiting = [asyncio.create_task(ask(tritons)) for _ in range(2)]
    await asyncio.sleep(0)
    assert servers["a:1"].calls == 1
    assert [await ask(tritons) for _ in range(4)] == ["b:1"] * 4
    servers["a:1"].gate.set()
    assert sorted(await asyncio.gather(*waiting)) == ["a:1", "b:1"]


async def test_requests_in_flight_on_a_server_that_dies_are_done_again(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    servers["a:1"].gate = asyncio.Event()
    waiting = [asyncio.create_task(ask(tritons)) for _ in range(2)]
    await asyncio.sleep(0)
    servers["a:1"].up = False
    servers["a:1"].gate.set()
    assert await asyncio.gather(*waiting) == ["b:1", "b:1"]
    assert servers["a:1"].calls == 1
    assert [await ask(tritons) for _ in range(4)] == ["b:1"] * 4
    assert servers["a:1"].calls == 1  # it is not even tried


async def test_a_server_that_is_back_serves_when_it_has_every_model(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    first = servers["a:1"]
    first.up = False
    assert [await ask(tritons) for _ in range(2)] == ["b:1"] * 2
    assert tritons.serving() == {"a:1": False, "b:1": True}
    first.up, first.loaded = True, []
    assert await tritons.live()
    assert tritons.serving() == {"a:1": False, "b:1": True}
    assert await ask(tritons) == "b:1"
    assert await tritons.ready_models() == set(NEEDS)
    assert [await ask(tritons) for _ in range(2)] == ["b:1"] * 2
    await settled(tritons)
    assert first.loaded == list(NEEDS)
    assert tritons.serving() == {"a:1": True, "b:1": True}
    assert {await ask(tritons) for _ in range(2)} == {"a:1", "b:1"}


async def test_a_gateway_without_control_loads_nothing_but_waits_for_whole_servers(
    servers: dict[str, Server],
) -> None:
    leader = await started(servers)
    other = TritonPool(TritonSettings(url="a:1,b:1", start=False, control=False))
    assert await other.live()
    servers["a:1"].loaded.remove("encoder")
    assert await other.ready_models() == set(NEEDS)
    assert not other.members.repairs
    assert [await ask(other) for _ in range(3)] == ["b:1"] * 3
    await leader.ready_models()
    await settled(leader)
    await other.ready_models()
    assert {await ask(other) for _ in range(2)} == {"a:1", "b:1"}


async def test_a_dead_model_is_repaired_on_its_server_alone(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    servers["a:1"].failures.append(ModelDeadError("encoder"))
    assert {await ask(tritons) for _ in range(3)} == {"b:1"}
    assert servers["a:1"].aborts == ["embedding"]
    await settled(tritons)
    assert servers["a:1"].unloads == ["encoder"]
    assert servers["b:1"].unloads == []
    assert {await ask(tritons) for _ in range(2)} == {"a:1", "b:1"}


async def test_the_last_server_leaves_the_repair_to_the_monitor(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    servers["a:1"].up = False
    await tritons.live()
    servers["b:1"].failures.append(ModelDeadError("encoder"))
    with pytest.raises(ModelDeadError):
        await ask(tritons)
    assert not tritons.members.repairs


@pytest.mark.parametrize(
    "error", [InferenceError(), BusyError(), AdminKeyError(), RegionUnknownError()]
)
async def test_an_answer_of_the_model_itself_is_final(
    servers: dict[str, Server], error: GatewayError
) -> None:
    tritons = await started(servers)
    for server in servers.values():
        server.failures.append(error)
    with pytest.raises(type(error)):
        await ask(tritons)
    assert sum(server.calls for server in servers.values()) == 1
    assert all(one.live for one in tritons.members.everyone)


async def test_a_full_model_sends_work_elsewhere_without_ejection(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    servers["a:1"].failures.append(UnavailableError())
    assert [await ask(tritons) for _ in range(2)].count("b:1") >= 1
    assert all(one.live for one in tritons.members.everyone)
    for server in servers.values():
        server.failures.append(UnavailableError())
    with pytest.raises(UnavailableError):
        await ask(tritons)
    assert all(one.live for one in tritons.members.everyone)


@pytest.mark.parametrize("error", [DeadlineError(), InferenceError()])
async def test_a_server_that_hangs_or_is_broken_rests(
    servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch, error: GatewayError
) -> None:
    tritons = await started(servers)
    hung = servers["a:1"]
    hung.failures += [error] * (member.FAILURES + 1)
    now = 1e9
    monkeypatch.setattr(member.time, "monotonic", lambda: now)

    async def missed(calls: int) -> int:
        outcomes = await asyncio.gather(
            *(ask(tritons) for _ in range(calls)), return_exceptions=True
        )
        return sum(isinstance(one, GatewayError) for one in outcomes)

    assert await missed(2 * member.FAILURES) == member.FAILURES
    assert tritons.serving() == {"a:1": False, "b:1": True}
    calls = hung.calls
    assert [await ask(tritons) for _ in range(4)] == ["b:1"] * 4
    assert hung.calls == calls
    now += member.REST_SECONDS + 1
    assert await missed(2) == 1, "one call tells that it still hangs"
    now += member.REST_SECONDS + 1
    assert await missed(4) == 0, "it rests for longer now"
    assert hung.calls == calls + 1
    now += member.REST_SECONDS + 1
    assert {await ask(tritons) for _ in range(2)} == {"a:1", "b:1"}
    assert tritons.serving() == {"a:1": True, "b:1": True}


def test_calls_that_hung_together_are_one_reason_to_rest() -> None:
    one = member.Member("a:1", None)  # type: ignore[arg-type]
    for _ in range(100):
        one.failed()
    assert one.rests
    assert one._rests == 1


async def test_what_another_server_left_of_the_time_is_not_held_against_one(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    for _ in range(3 * member.FAILURES):
        servers["a:1"].failures.append(UnavailableError())
        servers["b:1"].failures.append(UnavailableError())
        first = "a:1" if tritons.members.pick("embedding", set()).address == "b:1" else "b:1"
        second = "b:1" if first == "a:1" else "a:1"
        servers[second].failures[-1] = DeadlineError()
        with pytest.raises(DeadlineError):
            await ask(tritons)
    assert not any(one.rests for one in tritons.members.everyone)


async def test_streams_begin_again_only_before_their_first_response(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    servers["a:1"].up = False

    async def all_of() -> list[str]:
        found = tritons.stream("embedding", {}, timeout=5)
        return [str(answer["SERVER"][0]) async for answer in found]

    assert [await all_of() for _ in range(2)] == [["b:1", "end"]] * 2
    servers["a:1"].up = True
    await tritons.live()
    await tritons.ready_models()
    for server in servers.values():
        server.gate = asyncio.Event()
    stream = tritons.stream("embedding", {}, timeout=5)
    begun = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    for server in servers.values():
        assert server.gate
        server.gate.set()
    await begun
    for server in servers.values():
        server.failures.append(UnavailableError())
    with pytest.raises(UnavailableError):
        await anext(stream)
    assert all(one.busy == 0 for one in tritons.members.everyone)


async def test_control_reaches_every_server(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    await tritons.register_memory("frames", 10)
    assert all(server.regions == ["frames"] for server in servers.values())
    await tritons.unregister_memory("frames")
    await tritons.unload("embedding")
    assert await tritons.ready_models() == {"encoder"}
    await asyncio.sleep(0)
    assert not tritons.members.repairs, "what was unloaded on purpose is not loaded again"
    await tritons.load("embedding", {"name": "plan"})
    assert all(server.configs[-1] == {"name": "plan"} for server in servers.values())


async def test_a_load_that_fails_is_reported_a_server_that_left_is_not(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    servers["a:1"].up = False
    await tritons.load("other")
    assert servers["b:1"].loaded[-1] == "other"
    servers["b:1"].failures.append(InferenceError())
    with pytest.raises(InferenceError):
        await tritons.load("further")


async def test_without_any_server_everything_is_unavailable(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    for server in servers.values():
        server.up = False
    with pytest.raises(UnavailableError):
        await ask(tritons)
    assert not await tritons.live()
    with pytest.raises(UnavailableError):
        await tritons.load("embedding")
    with pytest.raises(UnavailableError):
        await tritons.server_version()


async def test_statistics_are_sums(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    (model,) = await tritons.statistics()
    assert model["inference_count"] == "4"
    servers["a:1"].up = False
    (model,) = await tritons.statistics()
    assert model["inference_count"] == "2"


async def test_names_are_looked_up_again(
    servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ["a:1", "b:1"]

    complete = True

    async def resolve(_: object) -> tuple[list[str], bool]:
        return list(found), complete

    monkeypatch.setattr(members, "resolve", resolve)
    tritons = await started(servers, "dns:///tritons:1")
    found[:] = ["b:1", "c:1"]
    servers["a:1"].gate = asyncio.Event()
    leaving = asyncio.create_task(ask(tritons))
    await asyncio.sleep(0)
    assert servers["a:1"].calls == 1
    for _ in range(2):
        await tritons.live()
        await tritons.ready_models()
        await settled(tritons)
    assert servers["c:1"].loaded == list(NEEDS)
    assert {await ask(tritons) for _ in range(4)} == {"b:1", "c:1"}
    assert not servers["a:1"].closed, "it finishes what it has"
    servers["a:1"].gate.set()
    assert await leaving == "a:1"
    await tritons.live()
    assert [one.address for one in tritons.members.everyone] == ["b:1", "c:1"]
    complete, found[:] = False, ["b:1"]  # a name server is away: nobody is sent home
    await tritons.live()
    assert not any(one.leaving for one in tritons.members.everyone)
    await tritons.close()
    assert all(server.closed for server in servers.values())


async def test_servers_that_are_replaced_at_once_work_until_the_new_ones_can(
    servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ["a:1"]

    async def resolve(_: object) -> tuple[list[str], bool]:
        return list(found), True

    monkeypatch.setattr(members, "resolve", resolve)
    tritons = await started(servers, "dns:///tritons:1")
    found[:] = ["b:1"]
    await tritons.live()
    assert await ask(tritons) == "a:1"
    assert await tritons.ready_models() == set(NEEDS)
    await settled(tritons)
    assert await ask(tritons) == "b:1"
    await tritons.live()
    assert [one.address for one in tritons.members.everyone] == ["b:1"]


async def test_a_gateway_that_found_models_loaded_gives_them_to_a_server_that_is_back(
    servers: dict[str, Server],
) -> None:
    await started(servers)
    servers["b:1"].loaded.append("of an earlier configuration")
    young = TritonPool(TritonSettings(url="a:1,b:1", start=False))
    young.keep(NEEDS, lambda: True, ["encoder"])
    assert await young.live()
    assert await young.ready_models() > set(NEEDS)
    assert young.serving() == {"a:1": True, "b:1": True}, "nobody needs the model that a:1 lacks"
    servers["a:1"].up = False
    await young.live()
    servers["a:1"].up, servers["a:1"].loaded = True, []
    await young.live()
    await young.ready_models()
    await settled(young)
    assert servers["a:1"].loaded == list(NEEDS)
    assert servers["a:1"].configs[-2:] == [{"name": "encoder"}, None], "placed as on the other"
    assert young.serving() == {"a:1": True, "b:1": True}


async def test_two_processes_that_die_together_are_both_replaced(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    first = next(one for one in tritons.members.everyone if one.address == "a:1")
    for dead in NEEDS:
        tritons._elsewhere("embedding", first, {first}, ModelDeadError(dead))
    assert first.broken == set(NEEDS)
    await settled(tritons)
    await tritons.ready_models()
    await settled(tritons)
    assert sorted(servers["a:1"].unloads) == sorted(NEEDS)
    assert tritons.serving() == {"a:1": True, "b:1": True}


async def test_a_gateway_without_control_tries_a_repaired_server_again(
    servers: dict[str, Server],
) -> None:
    await started(servers)
    other = TritonPool(TritonSettings(url="a:1,b:1", start=False, control=False))
    await other.live()
    await other.ready_models()
    servers["a:1"].failures.append(ModelDeadError("encoder"))
    assert [await ask(other) for _ in range(3)] == ["b:1"] * 3
    assert servers["a:1"].unloads == []
    await other.ready_models()
    assert {await ask(other) for _ in range(2)} == {"a:1", "b:1"}


async def test_a_request_that_kills_what_computes_it_does_not_visit_every_server(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers, "a:1,b:1,c:1,d:1,e:1")
    for server in servers.values():
        server.failures.append(ModelDeadError("encoder"))
    with pytest.raises(ModelDeadError):
        await ask(tritons)
    assert sum(server.calls for server in servers.values()) == 1 + RETRIES
    tritons.abort("embedding")  # what the health monitor does then
    aborted = [server for server in servers.values() if server.aborts]
    assert len(aborted) == 1 + RETRIES, "who works for others is left alone"


async def test_one_server_that_refuses_the_key_or_is_silent_does_not_stop_the_others(
    servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    tritons = await started(servers)
    for error in (AdminKeyError(), DeadlineError(), InferenceError()):

        async def refused(failure: GatewayError = error) -> set[str]:
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(servers["a:1"], "ready_models", refused)
            assert await tritons.ready_models() == set(NEEDS)
            assert tritons.serving() == {"a:1": False, "b:1": True}
            if isinstance(error, AdminKeyError):
                patch.setattr(servers["b:1"], "ready_models", refused)
                with pytest.raises(AdminKeyError):
                    await tritons.ready_models()
        await settled(tritons)
        await tritons.live()
        await tritons.ready_models()
        await settled(tritons)
        assert tritons.serving() == {"a:1": True, "b:1": True}


async def test_a_model_that_is_being_loaded_is_not_loaded_twice(
    servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    tritons = await started(servers)
    gate, load = asyncio.Event(), servers["b:1"].load

    async def slow(model: str, config: Any = None) -> None:
        await gate.wait()
        await load(model, config)

    monkeypatch.setattr(servers["b:1"], "load", slow)
    loading = asyncio.create_task(tritons.load("further"))
    await asyncio.sleep(0)
    await tritons.ready_models()  # a round, or another model's
    assert not tritons.members.repairs
    gate.set()
    await loading
    assert servers["b:1"].loaded.count("further") == 1


async def test_a_cancelled_caller_leaves_nothing_behind(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    servers["a:1"].failures.append(UnavailableError())
    servers["b:1"].failures.append(UnavailableError())
    for server in servers.values():
        server.gate = asyncio.Event()
    waiting = asyncio.create_task(ask(tritons))
    await asyncio.sleep(0)
    one = next(server for server in servers.values() if server.calls)
    assert one.gate
    one.gate.set()  # refused: now it waits for the other
    while sum(server.calls for server in servers.values()) < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert all(member.busy == 0 for member in tritons.members.everyone)


async def test_a_server_with_the_model_works_for_whole_ones_that_rest(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    whole, other = tritons.members.everyone
    other.ready.discard("encoder")
    assert {await ask(tritons) for _ in range(2)} == {whole.address}
    for _ in range(member.FAILURES):
        whole.failed()
    assert {await ask(tritons) for _ in range(2)} == {other.address}


async def test_a_repair_that_failed_is_tried_again(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    tritons.keep(NEEDS, lambda: True)
    first = next(one for one in tritons.members.everyone if one.address == "a:1")
    tritons._elsewhere("embedding", first, {first}, ModelDeadError("a model behind others"))
    servers["a:1"].failures.append(InferenceError())
    await settled(tritons)
    assert first.broken
    await tritons.ready_models()
    await settled(tritons)
    assert not first.broken
    assert tritons.serving() == {"a:1": True, "b:1": True}
