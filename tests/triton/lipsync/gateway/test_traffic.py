"""Loads, unloads, reloads and deaths in the middle of traffic: every answer is right."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from tests.support.lipsync_protos import OldClient
from tests.support.lipsync_tenants import audio, frames
from tests.support.waiting import until
from tests.triton.lipsync.gateway.conftest import TENANTS, LipsyncStack

CLOSE = 1e-5
CALLS = 24  # per worker
KILLS = 4  # until one does not end Triton as well


def runs(process: psutil.Process | None) -> bool:
    """Whether it still runs after 5 s: a server that aborts writes its trace first."""
    assert process
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(5)
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


class Traffic:
    """Workers with known inputs; every answer is compared with the tenant's own."""

    def __init__(self, stack: LipsyncStack, client: OldClient, tenants: int = TENANTS) -> None:
        self.client = client
        self.tenants = tenants
        self.asked = self.answered = 0
        self.least = self.disturbances = 0
        self.inputs = [frames(1, seed=seed) for seed in range(2)]
        self.expected = {
            (number, seed): stack.plain(f"tenant_{number}")(given, audio())
            for number in range(tenants)
            for seed, given in enumerate(self.inputs)
        }

    async def run(
        self, disturb: Callable[[], Awaitable[Any]], least: int = 1, workers: int = 6
    ) -> int:
        """Drive the workers while ``disturb`` runs again and again; return how often it ran.

        They make their calls, and more of them until it has run ``least`` times.
        """
        self.least = least
        busy = [asyncio.create_task(self._work(number)) for number in range(workers)]
        while not all(task.done() for task in busy):
            await disturb()
            self.disturbances += 1
        await asyncio.gather(*busy)
        assert self.answered == self.asked >= workers * CALLS
        return self.disturbances

    async def _work(self, worker: int) -> None:
        for call in itertools.count():
            if call >= CALLS and self.disturbances >= self.least:
                return
            self.asked += 1
            number, seed = (worker + call) % self.tenants, call % 2
            request = self.client.messages.InferBatchRequest(
                model_id=f"tenant_{number}", visual_frames=self.inputs[seed].tobytes(),
                audio_features=audio().tobytes(), batch_size=1,
            )  # fmt: skip
            reply = await self.client.InferBatch(request)
            assert reply.success, reply.error
            found = np.frombuffer(reply.outputs[0].data, "<f4").reshape(1, 3, 320, 320)
            assert np.abs(found - self.expected[number, seed]).max() < CLOSE
            self.answered += 1


async def test_unload_and_reload_lose_nothing(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        kind, turn = client.messages, iter(range(10**6))

        async def disturb() -> None:
            number = next(turn)
            tenant = f"tenant_{number % TENANTS}"
            if number % 2:
                await client.UnloadModel(kind.UnloadModelRequest(model_id=tenant))
            else:
                reply = await client.LoadModel(
                    kind.LoadModelRequest(model_id=tenant, force_reload=True)
                )
                assert reply.success, reply.error
            await asyncio.sleep(0.02)

        assert await Traffic(lipsync_stack, client).run(disturb, 8) >= 8


@pytest.mark.parametrize("tenants", [1, TENANTS])  # one: more calls than slots, so some wait
async def test_a_killed_model_process_loses_no_call(
    lipsync_stack: LipsyncStack, tenants: int
) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        request = client.messages.InferBatchRequest(
            model_id="tenant_0", visual_frames=frames(1).tobytes(),
            audio_features=audio().tobytes(), batch_size=1,
        )  # fmt: skip
        killed: list[int] = []
        for _ in range(KILLS):
            device = (await client.InferBatch(request)).gpu_id
            model = f"/lipsync_{device}/1/" if device else "/lipsync/1/"
            processes = partial(lipsync_stack.stack.named, model + "model.py")
            (stub,) = processes()
            server = stub.parent()
            done = False

            async def disturb(stub: psutil.Process = stub) -> None:
                nonlocal done
                await asyncio.sleep(0.3)
                if not done:
                    done = True
                    stub.kill()
                    killed.append(stub.pid)

            try:
                # Twice: calls are made when it is killed, and afterwards.
                await Traffic(lipsync_stack, client, tenants).run(disturb, 2)
                break
            except grpc.RpcError:
                # Killed while it holds a lock of the shared memory, a stub takes Triton 2.51 with
                # it (lock_exception). Calls are answered 503 then, as whenever Triton dies.
                if runs(server):
                    raise
                lipsync_stack.stack.wait_ready()
        else:
            pytest.fail("Triton died with every stub")
    # An idle device's death shows at its next canary only: ready does not yet mean repaired.
    await until(lambda: any(one.pid not in killed for one in processes()))
    lipsync_stack.stack.wait_ready()


async def test_cancelled_calls_leave_the_others_right(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        given = frames(4, seed=9).tobytes()

        async def disturb() -> None:
            request = client.messages.InferBatchRequest(
                model_id="tenant_0", visual_frames=given, audio_features=audio().tobytes(),
                batch_size=4,
            )  # fmt: skip
            call = client.InferBatch(request)
            await asyncio.sleep(0.03)
            call.cancel()

        assert await Traffic(lipsync_stack, client).run(disturb, 5) >= 5
