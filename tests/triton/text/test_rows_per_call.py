"""Many clients fill the encoder's calls."""

from __future__ import annotations

import asyncio

import numpy as np

from gateway.services.text.service import JOINED_ROWS
from gateway.settings.text import TextSettings
from gateway.settings.triton import TritonSettings
from gateway.triton.client import TritonClient
from gateway.triton.coalesce import Coalescer
from gateway.triton.tensors import text_tensor
from tests.support.text_models import TextModels

CLIENTS, CALLS = 32, 12
LEAST_ROWS = 12


async def ask(url: str) -> list[np.ndarray]:
    """Every client's last answer, after as many calls of one short text each."""
    triton = TritonClient(TritonSettings(url=url))
    before = TextSettings().calls_before_joining
    joiner = Coalescer(triton, "text_embedding", ("EMBEDDING",), before, JOINED_ROWS)

    async def client(number: int) -> np.ndarray:
        for turn in range(CALLS):
            inputs = {"TEXT": text_tensor([f"client {number} asks for the {turn}th time"])}
            found = await joiner.infer(inputs, 60)
        return found["EMBEDDING"][0]

    try:
        return await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    finally:
        await triton.close()


def test_calls_of_the_encoder_are_full_while_many_wait(text_models: TextModels) -> None:
    before = text_models.executions("sentence_encoder")
    answers = asyncio.run(ask(text_models.server.grpc_url))
    rows, calls = (
        late - early
        for late, early in zip(
            text_models.wait_rows("sentence_encoder", before[0] + CLIENTS * CALLS),
            before,
            strict=True,
        )
    )
    assert rows == CLIENTS * CALLS
    assert rows / calls >= LEAST_ROWS
    texts = [f"client {number} asks for the {CALLS - 1}th time" for number in range(CLIENTS)]
    np.testing.assert_allclose(answers, text_models.embed(texts), atol=1e-5)
