"""Deaths: of the engine, of its worker, of Triton's stub, of the server. Nothing may be left."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import psutil
import pytest
from tritonclient.utils import InferenceServerException

from gateway.triton.status import ModelDeadError, to_gateway_error
from tests.support.vlm_model import WITH_WORKER, VlmModel, engines, shared_memory
from tests.vlm.conftest import Clip, Keeper
from tests.vlm.test_answers import generating, outcome, start

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def keeper(keeper: Keeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """Of the engine with the most processes."""
    keeper.stop()  # one engine at a time
    found = Keeper(tmp_path_factory.mktemp("processes"), **WITH_WORKER)
    yield found
    found.stop()


class Refusal(grpc.RpcError):
    """Triton's answer as the gateway sees it."""

    def __init__(self, error: InferenceServerException) -> None:
        self._error = error

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode[self._error.status().removeprefix("StatusCode.")]

    def details(self) -> str:
        return self._error.message()


def named(processes: list[psutil.Process], name: str) -> psutil.Process:
    return next(process for process in processes if name in process.name())


def alive(process: psutil.Process) -> bool:
    """Zombies wait for a Triton stub that lingers without its server."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


@pytest.mark.parametrize("victim", ["EngineCore", "Worker"])
def test_a_dead_engine_is_recognised_and_loading_again_recovers(
    vlm: VlmModel, clip: Clip, until, victim: str
) -> None:
    dead, memory = outcome(vlm, "dead"), shared_memory()
    assert memory
    process = named(engines(), victim)
    _, future = start(vlm, clip)
    until(lambda: generating(vlm) == 1)
    process.kill()
    with pytest.raises(InferenceServerException) as caught:
        future.result(120)
    assert isinstance(to_gateway_error(Refusal(caught.value)), ModelDeadError)
    begin = time.monotonic()
    with pytest.raises(InferenceServerException) as caught:
        vlm.ask(clip, max_tokens=1)
    assert time.monotonic() - begin < 60  # it does not wait for an answer
    assert isinstance(to_gateway_error(Refusal(caught.value)), ModelDeadError)
    until(lambda: outcome(vlm, "dead") >= dead + 2)  # metrics come late
    assert outcome(vlm, "dead") == dead + 2
    vlm.unload()  # fails when a process outlives it
    until(lambda: not any(file.exists() for file in memory))
    vlm.load()
    assert vlm.ask(clip, max_tokens=4, thinking_budget=0)["usage"]["completion_tokens"] > 0


def test_the_engine_ends_with_a_killed_stub(vlm: VlmModel, until) -> None:
    (stub,) = vlm.stubs()
    started, memory = engines(), shared_memory()
    assert len(started) >= 2
    stub.kill()
    until(lambda: not any(alive(process) for process in started))
    until(lambda: not any(file.exists() for file in memory))


def test_the_engine_ends_with_a_killed_server(keeper: Keeper, until) -> None:
    vlm = keeper.healthy()
    started, memory = engines(), shared_memory()
    assert len(started) >= 2
    vlm.server.process.kill()
    until(lambda: not any(alive(process) for process in started))
    keeper.stop()  # as a supervisor does before it starts the next server
    until(lambda: not any(file.exists() for file in memory))
