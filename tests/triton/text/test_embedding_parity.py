"""Real embeddings against sentence-transformers and against committed values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from export.parity import cosines
from export.samples import varied_texts
from launcher.server import TritonServer
from tests.support.text_models import TextModels, checkpoint

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "text_embedding.json"
COSINE = 0.9999


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(checkpoint(), device="cpu")
    assert library.max_seq_length == 256
    embeddings = library.encode(varied_texts(200))
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    return embeddings


@pytest.fixture(scope="module")
def bf16_models(
    exported_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TextModels]:
    log = tmp_path_factory.mktemp("openvino") / "triton.log"
    with TritonServer.on_free_ports(exported_models, profile="openvino", log=log) as server:
        models = TextModels(server)
        models.load("sentence_encoder", "text_embedding")
        yield models
        models.close()


def embed_all(models: TextModels) -> np.ndarray:
    texts = varied_texts(200)
    return np.concatenate([models.embed(texts[:100]), models.embed(texts[100:])])


@pytest.fixture(scope="module")
def embeddings(text_models: TextModels) -> np.ndarray:
    """The varied texts' vectors in fp32."""
    return embed_all(text_models)


def test_fp32_equals_sentence_transformers(embeddings: np.ndarray, reference: np.ndarray) -> None:
    assert cosines(embeddings, reference).min() > 0.99999


def test_bf16_keeps_the_cosine_rule_where_it_is_the_default(
    bf16_models: TextModels, reference: np.ndarray, exported_models: Path
) -> None:
    verdict = json.loads((exported_models / "sentence_encoder/1/openvino.json").read_text())
    cosine = cosines(embed_all(bf16_models), reference).min()
    assert bool(verdict["ok"]) == (cosine >= COSINE)


def test_unit_length(embeddings: np.ndarray) -> None:
    norms = np.linalg.norm(embeddings, axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_a_text_alone_and_in_company_is_the_same(text_models: TextModels) -> None:
    texts = varied_texts(60)
    together = text_models.embed(texts)
    alone = np.concatenate([text_models.embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_golden_values(text_models: TextModels) -> None:
    golden = json.loads(GOLDEN.read_text())
    texts = [case["text"] for case in golden["cases"]]
    expected = np.array([case["first"] for case in golden["cases"]], dtype=np.float32)
    got = text_models.embed(texts)[:, : expected.shape[1]]
    np.testing.assert_allclose(got, expected, atol=golden["tolerance"])
