"""What the text models do with odd, many, big, cancelled and refused requests."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from launcher.server import TritonServer
from tests.support.text_models import SCORES, TextModels, text_input
from tests.support.waiting import wait_for

BULK = 128
"""Texts that take many seconds, so that what happens meanwhile does happen meanwhile."""
LONG = "a sentence of some words that goes on and on " * 60


def test_model_info_names_the_weights(text_models: TextModels) -> None:
    for model, inputs in (
        ("text_embedding", [text_input("TEXT", ["a", "b"])]),
        ("bertscore", [text_input("CANDIDATE", ["a", "b"]), text_input("REFERENCE", ["c", "d"])]),
    ):
        info = text_models.client.infer(model, inputs).as_numpy("MODEL_INFO")
        assert info.shape == (2, 1)
        facts = json.loads(info[0, 0])
        assert facts["model"] == "all-MiniLM-L6-v2"
        assert facts["license"] == "Apache-2.0"
        assert len(facts["sha256"]) == 64


def test_tokens_cost_the_encoder_nothing(text_models: TextModels) -> None:
    before = text_models.executions("sentence_encoder")
    wanted = [grpc.InferRequestedOutput("TOKENS")]
    texts = [text_input("TEXT", ["a guitar", LONG])]
    found = text_models.client.infer("text_embedding", texts, outputs=wanted).as_numpy("TOKENS")
    counts = [len(json.loads(raw)["ids"]) for raw in found[:, 0]]
    assert counts == [4, 602]  # beyond the 256 that the encoder reads
    assert text_models.executions("sentence_encoder") == before


def test_where_a_text_is_cut_that_is_too_long(text_models: TextModels) -> None:
    def cut(side: str, *texts: str) -> np.ndarray:
        sides = text_input("TRUNCATE", [side] * len(texts))
        inputs = [text_input("TEXT", texts), sides]
        outputs = [grpc.InferRequestedOutput("EMBEDDING")]
        reply = text_models.client.infer("text_embedding", inputs, outputs=outputs)
        return np.asarray(reply.as_numpy("EMBEDDING"))

    ending = LONG + "guitar"
    usual = text_models.embed([ending])
    np.testing.assert_allclose(cut("END", ending), usual, atol=2e-6)
    assert np.abs(cut("START", ending) - usual).max() > 0.001  # it ends otherwise
    np.testing.assert_allclose(cut("NONE", "short"), text_models.embed(["short"]), atol=2e-6)
    for side, words in (("NONE", "text_too_long: index=1"), ("MIDDLE", "must be one of")):
        with pytest.raises(InferenceServerException, match=words) as raised:
            cut(side, "short", ending)
        assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_duplicates_and_order_are_kept(text_models: TextModels) -> None:
    texts = ["one", LONG, "two", "one", "", "two"]
    rows = text_models.embed(texts)
    for index, text in enumerate(texts):
        np.testing.assert_allclose(rows[index], text_models.embed([text])[0], atol=2e-6)


def test_text_that_is_not_utf8_is_an_argument_error(text_models: TextModels) -> None:
    with pytest.raises(InferenceServerException, match="not valid UTF-8") as raised:
        text_models.embed([b"\xff\xfe"])
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert text_models.embed(["still well"]).shape == (1, 384)


def test_concurrent_requests_share_forward_passes(text_models: TextModels) -> None:
    before = text_models.executions("sentence_encoder")
    with ThreadPoolExecutor(32) as pool:
        futures = [pool.submit(text_models.embed, [f"short text number {i}"]) for i in range(160)]
        rows = [future.result() for future in futures]
    after = text_models.wait_rows("sentence_encoder", before[0] + 160)
    assert len(rows) == 160
    assert after[0] - before[0] == 160
    assert after[1] - before[1] < 110  # a forward each would be 160


def test_a_request_of_equal_texts_is_one_row(text_models: TextModels) -> None:
    before = text_models.executions("sentence_encoder")
    text_models.embed(["the very same text"] * 100)
    after = text_models.wait_rows("sentence_encoder", before[0] + 1)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


def test_bertscore_encodes_each_sentence_once(text_models: TextModels) -> None:
    before = text_models.executions("token_encoder")
    text_models.score([("the same", f"another {i % 3}") for i in range(90)])
    after = text_models.wait_rows("token_encoder", before[0] + 4)
    assert after[0] - before[0] == 4


def test_short_requests_pass_a_long_one(text_models: TextModels) -> None:
    bulk = [f"{number} {LONG}" for number in range(BULK)]
    rows, _ = text_models.executions("sentence_encoder")
    finished = threading.Event()

    def run_bulk() -> float:
        started = time.monotonic()
        text_models.embed(bulk)
        finished.set()
        return time.monotonic() - started

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_bulk)
        wait_for(lambda: text_models.counted("sentence_encoder")[0] > rows)  # it is under way
        waits = []
        while not finished.is_set() and len(waits) < 20:
            started = time.monotonic()
            text_models.embed([f"short {len(waits)}"])
            waits.append(time.monotonic() - started)
        total = future.result()
    # The bulk is dozens of chunks; a short text waits for the one or two being computed.
    assert len(waits) >= 3
    assert float(np.median(waits)) < total / 4


def test_cancelled_work_is_dropped(text_models: TextModels) -> None:
    before = text_models.executions("token_encoder")[0]
    assert _cancel_soon(text_models, before) == "StatusCode.CANCELLED"
    text_models.score([("something", "else entirely")])
    assert text_models.executions("token_encoder")[0] - before < BULK


def _cancel_soon(models: TextModels, before: int) -> str:
    outcome: list[InferenceServerException | None] = []
    done = threading.Event()

    def receive(result: object, error: InferenceServerException | None) -> None:
        outcome.append(error)
        done.set()

    texts = [f"{number} {LONG}" for number in range(BULK)]
    call = models.client.async_infer(
        "bertscore",
        [text_input("CANDIDATE", texts), text_input("REFERENCE", texts)],
        receive,
        outputs=[grpc.InferRequestedOutput(name) for name in SCORES],
    )
    wait_for(lambda: models.counted("token_encoder")[0] > before)  # it is under way
    call.cancel()
    assert done.wait(60)
    assert outcome[0] is not None
    return str(outcome[0].status())


def test_an_encoder_that_is_away_fails_requests_and_recovers(
    exported_models: Path, tmp_path: Path
) -> None:
    log = tmp_path / "triton.log"
    with TritonServer.on_free_ports(exported_models, log=log) as server:
        models = TextModels(server)
        models.load("sentence_encoder", "text_embedding")
        assert models.embed(["before"]).shape == (1, 384)
        models.unload("sentence_encoder")
        with pytest.raises(InferenceServerException, match="sentence_encoder"):
            models.embed(["while it is away"], client_timeout=60)
        models.load("sentence_encoder")
        assert models.embed(["after"]).shape == (1, 384)
        models.close()
