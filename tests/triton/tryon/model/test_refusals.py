"""Many refused jobs at once: Triton survives them, and the gateway knows what they mean."""

from __future__ import annotations

import asyncio
from collections import Counter

from gateway.errors import BusyError, GatewayError
from gateway.settings.triton import TritonSettings
from gateway.triton.client import TritonClient
from gateway.triton.status import WorkflowError
from gateway.triton.tensors import bytes_tensor
from tests.support.tryon_model import MODEL, TryonModel

CALLS, AT_ONCE = 1500, 16


def test_triton_survives_refusals_at_the_same_time(tryon: TryonModel) -> None:
    """With statuses (`triton_grpc_error`) Triton 2.51 got a SIGSEGV here within 700 calls."""

    async def refused(client: TritonClient) -> GatewayError:
        inputs = {name: bytes_tensor([b"no picture"], rows=False) for name in ("PERSON", "GARMENT")}
        try:
            async for _ in client.stream(MODEL, inputs, timeout=60):
                pass
        except GatewayError as error:
            return error
        raise AssertionError("a job without pictures was done")

    async def run() -> list[GatewayError]:
        client = TritonClient(TritonSettings(url=tryon.server.grpc_url))
        left = iter(range(CALLS))
        found: list[GatewayError] = []

        async def visitor() -> None:
            for _ in left:
                found.append(await refused(client))

        await asyncio.gather(*(visitor() for _ in range(AT_ONCE)))
        await client.close()
        return found

    found = asyncio.run(run())
    assert tryon.server.process.poll() is None
    kinds = Counter(type(error) for error in found)
    assert set(kinds) <= {WorkflowError, BusyError}, kinds
    assert kinds[BusyError] > 0
    steps = {(one.code, one.step) for one in found if isinstance(one, WorkflowError)}
    assert steps == {("input", "PrepareInputs")}
    assert tryon.describe()["loaded"]
