"""A second embedding model and a cross-encoder in the catalogue, against the libraries they are of.

Both are small random checkpoints, as no package has weights of either kind.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from export.__main__ import main
from export.samples import varied_pairs, varied_texts
from tests.support.checkpoints import write_cross_encoder, write_sentence_transformer
from tests.support.stack import Stack
from tests.support.waiting import wait_for

PROMPTS = {"query": "Represent this for search: ", "document": ""}
TOLERANCE = 2e-5
"""Of a component, and of a score: fp32 kernels of two engines differ by about 1e-6."""
MODELS = ("text_embedding", "sentence_encoder", "bertscore", "token_encoder")
SOURCES = ("reranking", "cross_encoder")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        "text_embedding": write_sentence_transformer(folder / "embedder", prompts=PROMPTS),
        "reranking": write_cross_encoder(folder / "ranker", "bert"),
    }


@pytest.fixture(scope="module")
def stack(
    exported_models: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("catalogue")
    repository = folder / "models"
    for name in (*MODELS, *SOURCES):
        shutil.copytree(exported_models / name, repository / name, copy_function=os.link)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENTAD_PATHS__REPOSITORY", str(repository))
        for model, checkpoint in checkpoints.items():
            assert main([model, "--checkpoint", str(checkpoint), "--as", "tiny"]) == 0
    plain = {"triton_model": "text_embedding", "encoder": "sentence_encoder"}
    embedders = {
        "all-MiniLM-L6-v2": plain,
        "tiny": {name: f"{model}_tiny" for name, model in plain.items()},
    }
    ranker = {"triton_model": "reranking_tiny", "encoder": "cross_encoder_tiny"}
    running = Stack(
        folder / "state",
        {
            "PENTAD_PATHS__REPOSITORY": str(repository),
            "PENTAD_SERVICES": json.dumps(["text"]),
            "PENTAD_TEXT__EMBED_MODELS": json.dumps(embedders),
            "PENTAD_TEXT__RERANK_MODELS": json.dumps({"tiny-ranker": ranker}),
        },
    )
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()


def ask(stack: Stack, path: str, **body: Any) -> Any:
    reply = httpx.post(stack.main + path, json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    return reply.json()


def vectors(stack: Stack, texts: list[str], **options: Any) -> np.ndarray:
    found = ask(stack, "/v1/embeddings", model="tiny", input=texts, **options)
    return np.array([one["embedding"] for one in found["data"]])


@pytest.mark.parametrize(
    ("options", "library"),
    [
        ({}, {}),
        ({"input_type": "query"}, {"prompt_name": "query"}),
        ({"prompt_name": "query", "dimensions": 16}, {"prompt_name": "query", "truncate_dim": 16}),
        ({"input_type": "document", "dimensions": 32}, {"truncate_dim": 32}),
        ({"dimensions": 64}, {}),
    ],
)
def test_vectors_are_the_librarys(
    stack: Stack,
    checkpoints: dict[str, Path],
    options: dict[str, Any],
    library: dict[str, Any],
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [text for text in varied_texts(60) if len(text) <= 9_000]  # many beyond 48 tokens
    model = SentenceTransformer(str(checkpoints["text_embedding"]), device="cpu")
    expected = model.encode(texts, normalize_embeddings=True, **library)
    found = vectors(stack, texts, **options)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_the_start_of_a_text_is_cut_as_the_library_cuts_it(
    stack: Stack, checkpoints: dict[str, Path]
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [text for text in varied_texts(60) if len(text) <= 9_000]
    model = SentenceTransformer(str(checkpoints["text_embedding"]), device="cpu")
    ends = vectors(stack, texts)
    model.tokenizer.truncation_side = "left"
    expected = model.encode(texts)
    found = vectors(stack, texts, truncate="START")
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert np.abs(found - ends).max() > 0.01  # some are cut
    np.testing.assert_allclose(vectors(stack, texts), ends, atol=TOLERANCE)


def test_a_text_that_may_not_be_cut_is_refused(stack: Stack) -> None:
    texts = ["short"] * 40 + ["word " * 300]
    body = {"model": "tiny", "input": texts, "truncate": "NONE"}
    reply = httpx.post(stack.main + "/v1/embeddings", json=body, timeout=60)
    assert reply.status_code == 400
    words = "text 40 has more than the 48 tokens that this model reads"
    assert reply.json()["error"]["message"] == words
    np.testing.assert_allclose(
        vectors(stack, ["short"], truncate="NONE"), vectors(stack, ["short"]), atol=TOLERANCE
    )


def test_other_models_have_their_own_lengths_and_prompts(stack: Stack) -> None:
    body = {"model": "all-MiniLM-L6-v2", "input": "a text"}
    for options, param in (({"dimensions": 16}, "dimensions"), ({"prompt_name": "query"},) * 2):
        reply = httpx.post(stack.main + "/v1/embeddings", json=body | options, timeout=60)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] in param
    assert len(ask(stack, "/v1/embeddings", **body)["data"][0]["embedding"]) == 384
    models = [one["id"] for one in httpx.get(stack.main + "/v1/models", timeout=60).json()["data"]]
    assert models == ["all-MiniLM-L6-v2", "tiny", "tiny-ranker"]


def test_scores_are_the_librarys(stack: Stack, checkpoints: dict[str, Path]) -> None:
    from sentence_transformers import CrossEncoder

    pairs = [pair for pair in varied_pairs(80) if max(map(len, pair)) <= 9_000]
    expected = CrossEncoder(str(checkpoints["reranking"]), device="cpu").predict(pairs)
    left, right = map(list, zip(*pairs, strict=True))
    found = ask(stack, "/v1/score", model="tiny-ranker", text_1=left, text_2=right)
    scores = np.array([one["score"] for one in found["data"]])
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE)
    assert np.ptp(expected) > 0.1  # they tell something apart


def test_documents_are_ranked_as_the_library_ranks_them(
    stack: Stack, checkpoints: dict[str, Path]
) -> None:
    from sentence_transformers import CrossEncoder

    documents = varied_texts(70)[-30:]
    ranked = CrossEncoder(str(checkpoints["reranking"]), device="cpu").rank("a query", documents)
    found = ask(stack, "/v1/rerank", model="tiny-ranker", query="a query", documents=documents)
    scores = {one["index"]: one["relevance_score"] for one in found["results"]}
    for one in ranked:
        assert abs(scores[one["corpus_id"]] - one["score"]) <= TOLERANCE
    assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_pairs_of_all_requests_share_forward_passes(stack: Stack) -> None:
    def one(number: int) -> int:
        texts = [f"document {number} {place}" for place in range(4)]
        found = ask(stack, "/v1/rerank", model="tiny-ranker", query="q", documents=texts)
        return len(found["results"])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(48))) == [4] * 48

    def largest() -> int:
        lines = httpx.get(stack.main + "/metrics", timeout=60).text.splitlines()
        sizes = [
            int(line.split('batch_size="')[1].split('"')[0])
            for line in lines
            if line.startswith("pentad_triton_batches_total{") and '"cross_encoder_tiny"' in line
        ]
        return max(sizes, default=0)

    wait_for(lambda: largest() > 4, told=largest)  # more than any of them has by itself


def test_how_both_encoders_are_called_is_told(stack: Stack) -> None:
    services = httpx.get(stack.main + "/services", timeout=60).json()["services"]
    calls = {
        network: told
        for service in services
        for model in service["models"]
        for network, told in model["calls"].items()
    }
    for network in ("sentence_encoder_tiny", "cross_encoder_tiny"):
        assert calls[network] == calls["sentence_encoder"]
        assert (calls[network]["rows"], calls[network]["source"]) == (16, "usual")
