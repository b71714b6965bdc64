"""One tritonserver with the real text models for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.text_models import TextModels


@pytest.fixture(scope="package")
def triton_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Triton and the models write."""
    return tmp_path_factory.mktemp("triton") / "triton.log"


@pytest.fixture(scope="package")
def text_models(exported_models: Path, triton_log: Path) -> Iterator[TextModels]:
    """The text models in their portable fp32 configuration."""
    from launcher.server import TritonServer

    with TritonServer.on_free_ports(exported_models, log=triton_log) as server:
        models = TextModels(server)
        models.load("sentence_encoder", "text_embedding", "token_encoder", "bertscore")
        yield models
        models.close()
