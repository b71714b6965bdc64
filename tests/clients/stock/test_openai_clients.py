"""What speaks OpenAI's wire format: the official clients, LangChain, LlamaIndex and litellm.

They live in an environment of their own (`make stock-client-env`).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.clients.conftest import TEXT_KEY, Old
from tests.clients.stock.support import PROGRAMS, PYTHON, node

MODEL = "all-MiniLM-L6-v2"
TEXTS = ["The weather is lovely today.", "Hello 🌍"]


def run(command: list[str | Path], old: Old) -> Any:
    """Return what a program prints."""
    arguments = [f"{old.stack.main}/v1", TEXT_KEY, MODEL, *TEXTS]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(
        [*command, *arguments], check=False, capture_output=True, text=True, timeout=300, env=clean
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def expected(old: Old) -> np.ndarray:
    """The old server's own route."""
    headers = {"X-API-Key": TEXT_KEY}
    reply = httpx.post(f"{old.stack.text}/embed", headers=headers, json={"texts": TEXTS})
    return np.array(reply.json()["embeddings"])


def same(vectors: Any, expected: np.ndarray) -> bool:
    # Batches of other sizes differ in the last bits, and bfloat16 has few.
    return bool(np.allclose(vectors, expected, atol=5e-3))


ERRORS = {
    "model": ["NotFoundError", 404, "model_not_found"],
    "key": ["AuthenticationError", 401],
}


def check_errors(found: dict[str, list[Any]]) -> None:
    for name, wanted in ERRORS.items():
        assert found[name][: len(wanted)] == wanted


def test_python(old: Old, expected: np.ndarray) -> None:
    found = run([PYTHON, PROGRAMS / "openai_client.py"], old)
    assert same(found["vectors"], expected)
    assert same(found["floats"], expected)
    assert found["tokens"] > 0
    assert MODEL in found["models"]
    assert found["retrieved"] == MODEL
    check_errors(found["errors"])
    errors = found["errors"]
    assert errors["model"][3] == "model"
    assert errors["retrieve"][:3] == ["NotFoundError", 404, "model_not_found"]
    assert (errors["input"][:2], errors["input"][3]) == (["BadRequestError", 400], "input")
    assert (errors["dimensions"][1], errors["dimensions"][3]) == (400, "dimensions")
    assert errors["path"][:2] == ["NotFoundError", 404]
    assert errors["path"][2] != "internal"


def test_javascript(old: Old, expected: np.ndarray) -> None:
    found = run(node("openai_client.mjs"), old)
    assert same(found["vectors"], expected)
    assert same(found["floats"], expected)
    assert MODEL in found["models"]
    assert found["retrieved"] == MODEL
    check_errors(found["errors"])


@pytest.mark.parametrize("program", ["langchain_client.py", "llama_index_client.py"])
def test_frameworks(old: Old, expected: np.ndarray, program: str) -> None:
    found = run([PYTHON, PROGRAMS / program], old)
    assert same(found["vectors"], expected)
    assert same(found["query"], expected[0])


def test_litellm(old: Old, expected: np.ndarray) -> None:
    found = run([PYTHON, PROGRAMS / "litellm_client.py"], old)
    assert same(found["vectors"], expected)
    assert found["refused"] == "NotFoundError"
    assert found["best"] == [[1, "It is warm and sunny."]]
