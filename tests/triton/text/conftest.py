"""One tritonserver with the real text models for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.text_models import TextModels


@pytest.fixture(scope="package")
def text_models(
    exported_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TextModels]:
    """The text models in their portable fp32 configuration."""
    from embedded.server import TritonServer

    log = tmp_path_factory.mktemp("triton") / "triton.log"
    with TritonServer.on_free_ports(exported_models, log=log) as server:
        models = TextModels(server)
        models.load("sentence_encoder", "text_embedding", "token_encoder", "bertscore")
        yield models
        models.close()
