"""Compares an exported graph with the model it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.errors import ExportError
from export.samples import varied_texts

TOLERANCE = 5e-5
"""Largest difference of a component of a unit vector. fp32 kernels of two engines differ by about
1e-6 after some layers; a wrong graph differs by 1e-2 and more."""

FloatArray = npt.NDArray[np.float32]


def check_parity(model: Any, graph: Path, tokenizer: Any, max_tokens: int) -> float:
    """Run `model` and the ONNX file `graph` on varied texts and compare the unmasked outputs.

    Returns:
        The largest absolute difference.

    Raises:
        ExportError: It exceeds `TOLERANCE` or is not a number.
    """
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for texts in _batches(varied_texts(60)):
        encoded = tokenizer(
            texts, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt"
        )
        inputs = (encoded["input_ids"], encoded["attention_mask"])
        with torch.no_grad():
            expected = model.eval()(*inputs).numpy()
        feed = dict(zip(("input_ids", "attention_mask"), (x.numpy() for x in inputs), strict=True))
        got = session.run(None, feed)[0]
        if expected.ndim == 3:
            kept = inputs[1].numpy().astype(bool)
            expected, got = expected[kept], got[kept]
        worst = max(worst, float(np.abs(expected - got).max()))
    if not worst <= TOLERANCE:  # a NaN is refused too
        raise ExportError(f"the exported graph differs from its model by {worst:.2e}")
    return worst


def sample_feed(tokenizer: Any, max_tokens: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return inputs of an encoder by name, each INT64 [12, length], for varied texts."""
    encoded = tokenizer(
        varied_texts(12), padding=True, truncation=True, max_length=max_tokens, return_tensors="np"
    )
    return {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")}


def _batches(texts: list[str]) -> list[list[str]]:
    """Return batches: of one, of even length, several ragged ones with the longest text."""
    return [texts[3:4], [texts[4]] * 3, *(texts[i : i + 12] for i in range(0, len(texts), 12))]


def cosines(left: FloatArray, right: FloatArray) -> FloatArray:
    """Cosine of each row of `left` with the same row of `right`; both [n, d]."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / norms, dtype=np.float32)
