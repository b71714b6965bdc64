"""The text API over the real models: what the old client does, and the official OpenAI client."""

from __future__ import annotations

import concurrent.futures
import time
from http.client import HTTPConnection

import httpx
import huggingface_hub
import numpy as np
import openai
import transformers

from export.samples import varied_texts
from tests.support.stack import Stack
from tests.support.text_models import checkpoint
from tests.support.waiting import wait_for

PAIR = {"candidates": ["A man plays the guitar."], "references": ["Someone is playing guitar."]}


def post(url: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(url, json=body, headers=headers, timeout=60)


def in_flight(stack: Stack) -> int:
    """Requests that the text API works on."""
    status = httpx.get(stack.text + "/status", timeout=60).json()
    return int(status["queue"]["in_flight"])


def test_ready_report(stack: Stack) -> None:
    report = stack.wait_ready()
    assert report["status"] == "ready"
    models = report["services"]["text"]["models"]
    assert {model["task"] for model in models} == {"embed", "bertscore"}
    for model in models:
        assert model["name"] == "all-MiniLM-L6-v2"
        assert model["engine"].split()[0] in {"onnxruntime", "openvino"}
    bertscore = next(model for model in models if model["task"] == "bertscore")
    assert bertscore["engine"] == "onnxruntime fp32"


def test_the_old_clients_calls(stack: Stack) -> None:
    headers = {"content-type": "application/json"}
    health = httpx.get(stack.text + "/health", headers=headers, timeout=60).json()
    assert health == {"status": "ok", "device": "cpu"}
    info = httpx.get(stack.text + "/info", headers=headers, timeout=60).json()
    assert info["device_name"] == "cpu"
    assert info["vram_total_mb"] is None
    assert info["loaded_models"] == ["bertscore:all-MiniLM-L6-v2", "embed:all-MiniLM-L6-v2"]
    status = httpx.get(stack.text + "/status", headers=headers, timeout=60).json()
    assert status["queue"]["waiting_estimate"] == 0
    body = {**PAIR, "lang": "en", "model_type": "microsoft/deberta-xlarge-mnli"}
    scores = post(stack.text + "/bertscore", body).json()
    assert 0.5 < scores["f1"][0] < 1.0
    assert scores["model"] == "all-MiniLM-L6-v2"
    found = post(stack.text + "/embed", {"texts": ["a b", "c"], "model": "all-MiniLM-L6-v2"}).json()
    vectors = np.array(found["embeddings"])
    assert vectors.shape == (2, found["dimensions"]) == (2, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_prefix_and_port_agree(stack: Stack) -> None:
    body = {"texts": ["The weather is lovely today."]}
    own = np.array(post(stack.text + "/embed", body).json()["embeddings"])
    prefixed = np.array(post(stack.main + "/text/embed", body).json()["embeddings"])
    np.testing.assert_allclose(own, prefixed, atol=1e-6)


def test_the_official_openai_client(stack: Stack) -> None:
    client = openai.OpenAI(api_key="unused", base_url=stack.main + "/v1")
    words = ["first text", "the second"]
    packed = client.embeddings.create(input=words, model="all-MiniLM-L6-v2")
    plain = client.embeddings.create(input=words, model="all-MiniLM-L6-v2", encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-3)
    assert packed.usage.prompt_tokens == 8  # [CLS] first text [SEP], [CLS] the second [SEP]


def test_a_hundred_texts_keep_their_order(stack: Stack) -> None:
    words = [f"{'word ' * (1 + i * 13 % 40)}{i}" for i in range(100)]
    together = np.array(post(stack.text + "/embed", {"texts": words}).json()["embeddings"])
    for index in (0, 17, 50, 99):
        alone = np.array(post(stack.text + "/embed", {"texts": [words[index]]}).json())
        alone = np.array(alone.item()["embeddings"])
        assert float(together[index] @ alone[0]) > 0.9999


def test_concurrent_requests_are_batched_in_triton(stack: Stack) -> None:
    def one(index: int) -> int:
        return post(stack.text + "/embed", {"texts": [f"text number {index}"]}).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(200))) == {200}

    def sizes() -> set[int]:
        return {
            int(line.split('batch_size="')[1].split('"')[0])
            for line in httpx.get(stack.main + "/metrics", timeout=60).text.splitlines()
            if line.startswith("pentad_triton_batches_total{") and '"text_embedding"' in line
        }

    # The monitor reads Triton's statistics now and then.
    wait_for(lambda: max(sizes(), default=0) > 1, told=sizes)


def test_a_client_that_leaves_frees_its_slot(stack: Stack) -> None:
    long = {"candidates": ["word " * 1900 + str(i) for i in range(60)]}
    long["references"] = ["other " * 1600 + str(i) for i in range(60)]
    request = httpx.Request("POST", stack.text + "/bertscore", json=long)
    client = HTTPConnection(request.url.host, request.url.port, timeout=60)
    client.request("POST", "/bertscore", request.read(), dict(request.headers))
    wait_for(lambda: in_flight(stack))
    client.close()
    wait_for(lambda: not in_flight(stack), told=lambda: "the slot is still taken")
    left = 'pentad_requests_total{method="POST",route="/bertscore",service="text",status="499"}'
    wait_for(lambda: left in httpx.get(stack.main + "/metrics", timeout=60).text)  # not answered
    reply = post(stack.text + "/embed", {"texts": ["quick"]})
    assert reply.status_code == 200


def test_a_long_job_shows_progress_and_does_not_block_short_ones(stack: Stack) -> None:
    bulk = {"texts": ["long text " * 120 + str(i) for i in range(100)]}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(post, stack.text + "/embed", bulk) for _ in range(4)]
        wait_for(lambda: in_flight(stack))
        status = httpx.get(stack.text + "/status", timeout=60).json()
        begin = time.monotonic()
        assert post(stack.text + "/embed", {"texts": ["short"]}).status_code == 200
        short = time.monotonic() - begin
        unfinished = sum(not job.done() for job in jobs)
        assert all(job.result().status_code == 200 for job in jobs)
    assert status["queue"]["in_flight"] >= 1
    assert all(0 <= job["progress"] < 1 for job in status["active_jobs"])
    assert unfinished >= 1, "the short request waited for all of the bulk"
    assert short < 60


def test_ranking_by_the_embedding_model(stack: Stack) -> None:
    documents = ["The cat sleeps.", "It is 30 degrees today.", "A man plays the guitar."]
    body = {"query": "How warm is it?", "documents": documents}
    ranked = post(stack.main + "/v1/rerank", body).json()
    assert ranked["results"][0]["index"] == 1
    texts = {"texts": [body["query"], *documents]}
    vectors = np.array(post(stack.text + "/embed", texts).json()["embeddings"])
    for one in ranked["results"]:
        cosine = float(vectors[0] @ vectors[1 + one["index"]])
        assert abs(one["relevance_score"] - cosine) < 1e-3  # bfloat16, in another batch
    assert ranked["usage"]["total_tokens"] == sum(
        len(tokens) for tokens in post(stack.text + "/tokenize", {"inputs": texts["texts"]}).json()
    )


def test_the_official_hub_client(stack: Stack) -> None:
    client = huggingface_hub.InferenceClient(model=stack.main + "/text/similarity")
    sentences = ["Someone is playing guitar.", "The cat sleeps."]
    scores = client.sentence_similarity("A man plays the guitar.", other_sentences=sentences)
    assert scores[0] > 0.7 > 0.3 > scores[1]


def test_tokens_are_those_of_the_checkpoint(stack: Stack) -> None:
    library = transformers.AutoTokenizer.from_pretrained(checkpoint())
    texts = [text for text in varied_texts(60) if len(text) <= 10_000]
    found = post(stack.text + "/tokenize", {"inputs": texts}).json()
    for text, tokens in zip(texts, found, strict=True):
        assert [one["id"] for one in tokens] == library.encode(text)
    tokens = post(stack.main + "/v1/tokenize", {"prompt": "word " * 2000}).json()
    assert (tokens["count"], tokens["max_model_len"]) == (2002, 256)  # all, not what is read
