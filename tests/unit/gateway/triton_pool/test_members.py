"""Servers of a pool that come, go, fail and are given their models again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import DeadlineError, GatewayError, InferenceError, UnavailableError
from gateway.settings.triton import TritonSettings
from gateway.triton import TritonPool, member, members
from gateway.triton.status import CRASHES, AdminKeyError, LostError, ModelDeadError
from tests.support.pool_servers import NEEDS, Server, ask, settled, started


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


async def test_a_server_that_is_back_is_told_what_the_others_were(
    servers: dict[str, Server],
) -> None:
    await started(servers)
    told = {"parameters": {"networks": {"string_value": "{}"}}}
    servers["b:1"].running["embedding"] = told
    young = TritonPool(TritonSettings(url="a:1,b:1", start=False))
    young.keep(NEEDS, lambda: True, [])
    await young.live()
    await young.ready_models()
    servers["a:1"].up = False
    await young.live()
    servers["a:1"].up, servers["a:1"].loaded = True, []
    await young.live()
    await young.ready_models()
    await settled(young)
    loaded = dict(zip(servers["a:1"].loaded, servers["a:1"].configs[-len(NEEDS) :], strict=True))
    assert loaded == {**dict.fromkeys(NEEDS), "embedding": {"name": "embedding", **told}}


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
    with pytest.raises(UnavailableError) as caught:
        await ask(tritons)
    assert not isinstance(caught.value, LostError), "nobody asks again"
    assert sum(server.calls for server in servers.values()) == CRASHES
    tritons.abort("embedding")  # what the health monitor does then
    aborted = [server for server in servers.values() if server.aborts]
    assert len(aborted) == CRASHES, "who works for others is left alone"


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
