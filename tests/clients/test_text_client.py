"""The bridge's text client: several hosts, a key, and a Content-Type on everything."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.clients.conftest import TEXT_KEY, Old


def ask(old: Old, path: str, body: Any = None, key: str | None = TEXT_KEY) -> tuple[int, Any]:
    """One call as the client makes it."""
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(old.stack.text + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=45) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_finds_the_least_busy_host_and_works(old: Old) -> None:
    assert ask(old, "/health", key=None) == (200, {"status": "ok", "device": "cpu"})
    status, info = ask(old, "/info")
    assert status == 200
    assert {"vram_used_mb", "vram_total_mb", "loaded_models", "device_name"} <= set(info)
    status, scores = ask(
        old,
        "/bertscore",
        {
            "candidates": ["A man plays the guitar."],
            "references": ["Someone is playing guitar."],
            "lang": "en",
            "model_type": "",
        },
    )
    assert status == 200
    assert 0.4 < scores["f1"][0] <= 1
    assert list(scores) == ["precision", "recall", "f1", "model"]
    status, found = ask(old, "/embed", {"texts": ["a", "b"], "model": "all-MiniLM-L6-v2"})
    assert (status, found["dimensions"], found["model"]) == (200, 384, "all-MiniLM-L6-v2")
    assert [len(vector) for vector in found["embeddings"]] == [384, 384]
    status, busy = ask(old, "/status")
    assert status == 200
    assert set(busy["queue"]) == {
        "max_concurrent", "in_flight", "available_slots", "waiting_estimate",
    }  # fmt: skip
    assert busy["active_jobs"] == []


def test_no_texts_are_no_vectors(old: Old) -> None:
    status, found = ask(old, "/embed", {"texts": []})
    assert (status, found["embeddings"], found["dimensions"]) == (200, [], 0)


@pytest.mark.parametrize("path", ["/info", "/status", "/docs", "/openapi.json", "/nothing"])
def test_everything_but_health_needs_the_key(old: Old, path: str) -> None:
    for key in (None, "wrong-key-of-old"):
        assert ask(old, path, key=key) == (401, {"detail": "Unauthorized"})


def test_what_it_fails_over_on_says_what_was_wrong(old: Old) -> None:
    pair = {"candidates": ["a", "b"], "references": ["a"], "lang": "en"}
    words = "candidates and references must have equal length"
    assert ask(old, "/bertscore", pair) == (400, {"detail": words})
    status, error = ask(old, "/embed", {"texts": ["x"] * 101})
    assert status == 422
    assert "texts array length 101 exceeds max batch size of 100" in error["detail"][0]["msg"]
    status, error = ask(old, "/embed", {"texts": ["x"], "model": "some/other-model"})
    assert status == 400
    assert "all-MiniLM-L6-v2" in error["detail"]
