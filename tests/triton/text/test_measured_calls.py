"""A model measures its network while nothing else computes, and the next start knows."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient import grpc

from export.samples import varied_texts
from launcher.layout import calibration
from launcher.server import TritonServer
from tests.support.text_models import TextModels, text_input

QUIET_SECONDS = 15
"""How long a quiet moment of the machine is waited for."""


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
        models.unload("text_embedding")  # Triton keeps a model whose files have not changed
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
