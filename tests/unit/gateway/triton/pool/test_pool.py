"""Several Tritons as one, with stand-ins for the servers: who gets work, what control reaches."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import BusyError, DeadlineError, GatewayError, InferenceError, UnavailableError
from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient, TritonPool, connect, member
from gateway.triton.status import (
    AdminKeyError,
    LostError,
    ModelDeadError,
    RegionUnknownError,
)
from tests.support.pool_servers import NEEDS, Server, ask, settled, started
from tests.support.waiting import PATIENCE


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


async def test_without_any_server_the_request_may_be_asked_again(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    for server in servers.values():
        server.up = False
    await tritons.live()
    with pytest.raises(LostError) as caught:
        await ask(tritons)
    assert not caught.value.ran


async def test_the_end_of_each_connection_is_told(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    for server in servers.values():
        told = asyncio.create_task(tritons.lost())
        await asyncio.sleep(0.05)
        assert not told.done()
        server.hung_up.set()
        await asyncio.wait_for(told, PATIENCE)
    await tritons.close()
