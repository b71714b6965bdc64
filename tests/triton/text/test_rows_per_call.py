"""Many clients fill the encoder's calls, and the models measure their networks."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient import grpc

from export.samples import varied_texts
from gateway.services.text.service import JOINED_ROWS
from gateway.settings.text import TextSettings
from gateway.settings.triton import TritonSettings
from gateway.triton.client import TritonClient
from gateway.triton.coalesce import Coalescer
from gateway.triton.tensors import text_tensor
from launcher.layout import calibration
from launcher.server import TritonServer
from tests.support.text_models import TextModels, text_input

CLIENTS, CALLS = 32, 12
LEAST_ROWS = 12
QUIET_SECONDS = 15
"""How long a quiet moment of the machine is waited for."""


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


def told(models: TextModels) -> dict[str, Any]:
    """What the text model says of its calls."""
    outputs = [grpc.InferRequestedOutput("MODEL_INFO")]
    inputs = [text_input("TEXT", ["who are you?"])]
    answer = models.client.infer("text_embedding", inputs, outputs=outputs)
    return dict(json.loads(answer.as_numpy("MODEL_INFO").flat[0])["calls"]["sentence_encoder"])


def test_a_model_measures_its_encoder_once(exported_models: Path, tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    with TritonServer.on_free_ports(
        exported_models, state=tmp_path / "state", log=log, calibrate=True
    ) as server:
        models = TextModels(server)
        models.load("sentence_encoder", "text_embedding")
        assert told(models)["reason"] == "not measured yet"
        end = time.monotonic() + QUIET_SECONDS
        while (found := told(models))["source"] == "usual" and time.monotonic() < end:
            time.sleep(2)  # seldom: a measurement beside requests does not count
        files = list(calibration(tmp_path / "state").glob("*.json"))
        if found["source"] == "usual":  # something else computed all the time, and nothing is kept
            assert found["reason"]
            assert not files
        else:
            assert found["source"] == "measured"
            assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
            assert {row["length"] for row in found["figures"]} >= {16}
        before = models.executions("sentence_encoder")[1]
        models.load("text_embedding")
        again = told(models)
        if files:
            assert again == {**found, "source": "kept"}
            assert models.executions("sentence_encoder")[1] == before + 1
        texts = varied_texts(50)
        np.testing.assert_allclose(
            models.embed(texts), np.concatenate([models.embed([t]) for t in texts]), atol=1e-5
        )
        models.close()
    assert "is called with Calls" in log.read_text()
