"""A caller that is told of a GPU calls its encoder with more, and answers the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from export.samples import varied_texts
from gateway.triton.placing import with_networks
from tests.support.text_models import TextModels

ON_GPU = {"device": "cuda", "instances": 2, "most_rows": 48}
CALLERS = {"text_embedding": "sentence_encoder", "bertscore": "token_encoder"}


def calls(log: Path) -> list[dict[str, str]]:
    """What the models have written of how they call their encoders."""
    lines = re.findall(r"(\w+_encoder) is called with Calls\((.*?)\)", log.read_text())
    return [{"of": of, **dict(re.findall(r"(\w+)=(\d+)", words))} for of, words in lines]


@pytest.fixture
def told(text_models: TextModels) -> Iterator[TextModels]:
    """Both callers, loaded once more with what the gateway tells where a network is on a GPU."""
    for caller, network in CALLERS.items():
        config = text_models.client.get_model_config(caller, as_json=True)["config"]
        wanted = with_networks(config, {network: ON_GPU})
        text_models.client.load_model(caller, config=json.dumps(wanted))
    yield text_models
    for caller in CALLERS:
        text_models.load(caller)


@pytest.mark.usefixtures("told")
def test_the_values_of_each_engine(triton_log: Path) -> None:
    found = calls(triton_log)
    first = {one.pop("of"): one for one in found[:2]}  # as loaded by the fixture
    assert first == {
        "sentence_encoder": {"rows": "16", "tokens": "512", "in_flight": "2"},
        "token_encoder": {"rows": "8", "tokens": "512", "in_flight": "2"},
    }
    assert found[-2:] == [
        {"of": "sentence_encoder", "rows": "48", "tokens": "16384", "in_flight": "4"},
        {"of": "token_encoder", "rows": "48", "tokens": "8192", "in_flight": "4"},
    ]


def test_the_answers_are_the_same(told: TextModels) -> None:
    texts = varied_texts(100)
    larger = told.embed(texts)
    told.load("text_embedding")
    np.testing.assert_allclose(larger, told.embed(texts), atol=1e-5)
