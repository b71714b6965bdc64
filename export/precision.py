"""Whether the OpenVINO engine in bfloat16 keeps the embeddings close enough to fp32."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from export.parity import FloatArray, cosines
from export.samples import varied_texts

COSINE_FLOOR = 0.9999
"""What /embed promises against sentence-transformers; the profile is no default below it."""

TEXTS = 200
BATCH = 16


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
