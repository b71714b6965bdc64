"""Compares an exported graph with the model it came from, and its bfloat16 with its FP32."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.graph_parity import judged, session
from export.samples import varied_pairs, varied_texts
from export.task import Task

TOLERANCE = 5e-5
"""Largest difference of a component of a unit vector. fp32 kernels of two engines differ by about
1e-6 after some layers; a wrong graph differs by 1e-2 and more."""

FloatArray = npt.NDArray[np.float32]
COSINE_FLOOR = 0.9999
"""What /embed promises against sentence-transformers; the profile is no default below it."""
TEXTS = 200
BATCH = 16


def check_parity(model: Any, graph: Path, tokenizer: Any, max_tokens: int, task: Task) -> float:
    """Run `model` and the ONNX file `graph` on varied texts and compare the unmasked outputs.

    Args:
        model: Module of `export.heads`.
        graph: The file.
        tokenizer: Of the checkpoint.
        max_tokens: Longest sequence.
        task: Pairs of texts are compared where it ranks.

    Returns:
        The largest absolute difference.

    Raises:
        ExportError: It exceeds `TOLERANCE` or is not a number.
    """
    import torch

    exported, worst = session(graph), 0.0
    samples: list[Any] = varied_pairs(60) if task.is_ranking else varied_texts(60)
    for batch in _batches(samples):
        encoded = _encoded(tokenizer, batch, max_tokens, task)
        inputs = tuple(encoded[name] for name in task.inputs)
        with torch.no_grad():
            expected = model.eval()(*inputs).numpy()
        feed = dict(zip(task.inputs, (values.numpy() for values in inputs), strict=True))
        got = exported.run(None, feed)[0]
        if expected.ndim == 3:
            kept = inputs[1].numpy().astype(bool)
            expected, got = expected[kept], got[kept]
        worst = max(worst, float(np.abs(expected - got).max()))
    return judged(worst, TOLERANCE)


def sample_feed(tokenizer: Any, max_tokens: int, task: Task) -> dict[str, npt.NDArray[np.int64]]:
    """Return a graph's inputs by name, each INT64 [12, length], for varied texts or pairs."""
    samples: list[Any] = varied_pairs(12) if task.is_ranking else varied_texts(12)
    encoded = _encoded(tokenizer, samples, max_tokens, task)
    return {name: encoded[name].numpy().astype(np.int64) for name in task.inputs}


def _encoded(tokenizer: Any, samples: list[Any], max_tokens: int, task: Task) -> Any:
    texts = zip(*samples, strict=True) if task.is_ranking else (samples,)
    return tokenizer(
        *map(list, texts), padding=True, truncation=True, max_length=max_tokens,
        return_tensors="pt", return_token_type_ids=True,
    )  # fmt: skip


def _batches(texts: list[Any]) -> list[list[Any]]:
    """Return batches: of one, of even length, several ragged ones with the longest text."""
    return [texts[3:4], [texts[4]] * 3, *(texts[i : i + 12] for i in range(0, len(texts), 12))]


def cosines(left: FloatArray, right: FloatArray) -> FloatArray:
    """Cosine of each row of `left` with the same row of `right`; both [n, d]."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / norms, dtype=np.float32)


def measure_bf16(graph: Path, tokenizer: Any, max_tokens: int) -> dict[str, Any]:
    """Smallest cosine of bf16 against fp32 embeddings on varied texts, both by OpenVINO.

    Args:
        graph: Sentence encoder with outputs [batch, hidden].
        tokenizer: Its tokenizer.
        max_tokens: Truncation.

    Returns:
        `cosine_min`, `ok` (whether it reaches `COSINE_FLOOR`), `texts` and `openvino`.
    """
    texts = sorted(varied_texts(TEXTS), key=len)
    exact = _embed(graph, "f32", tokenizer, texts, max_tokens)
    rounded = _embed(graph, "bf16", tokenizer, texts, max_tokens)
    lowest = float(cosines(exact, rounded).min())
    return {
        "cosine_min": round(lowest, 7),
        "cosine_floor": COSINE_FLOOR,
        "ok": lowest >= COSINE_FLOOR,
        "texts": TEXTS,
        "openvino": version("openvino"),
    }


def _embed(
    graph: Path, precision: str, tokenizer: Any, texts: list[str], max_tokens: int
) -> FloatArray:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": precision, "ENABLE_CPU_PINNING": False}
    compiled = openvino.Core().compile_model(str(graph), "CPU", settings)
    rows = []
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer(
            texts[start : start + BATCH],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="np",
        )
        feed = {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
        rows.append(np.array(compiled(feed)[0], dtype=np.float32))
    return np.concatenate(rows)
