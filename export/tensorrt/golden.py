"""Inputs that a plan is judged on, and what the ONNX graph answers to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.errors import ExportError
from export.graph_parity import difference, pictures, softmax
from export.parity import cosines
from export.samples import varied_pairs, varied_texts
from export.task import IDS, MASK, TASKS, TYPES
from gateway.triton.tensorrt_plans.declared import Guard, PlanDeclaration, Shape

Feed = dict[str, npt.NDArray[Any]]


def feeds(declaration: PlanDeclaration, repository: Path) -> Iterator[Feed]:
    """Return inputs of the smallest, the tuned and the largest shapes: texts, pictures or noise.

    Raises:
        ExportError: A text model without its tokenizer, or with longer texts than the plan takes.
    """
    names = list(declaration.inputs)
    for bound in ("smallest", "tuned", "largest"):
        shapes = {name: getattr(bounds, bound) for name, bounds in declaration.inputs.items()}
        if {IDS, MASK} <= set(names):
            texts = _texts(declaration, repository, shapes[IDS])
            yield {name: texts[name] for name in names}
        else:
            yield {name: _values(shape) for name, shape in shapes.items()}


def _values(shape: Shape) -> npt.NDArray[Any]:
    """UINT8 pictures where the last axis is 3, else FP32 noise."""
    if len(shape) == 4 and shape[-1] == 3:
        return pictures(shape[0], (shape[1], shape[2]))
    return np.random.default_rng(shape[0]).standard_normal(shape, dtype=np.float32)


def _texts(declaration: PlanDeclaration, repository: Path, shape: Shape) -> Feed:
    """Varied texts, or pairs of them, as the caller's tokenizer reads them, INT64 of that shape."""
    from tokenizers import Tokenizer

    folder = repository / _caller(declaration.model) / "1"
    try:
        facts = json.loads((folder / "metadata.json").read_text())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library has one class for all
        raise ExportError(f"{declaration.model}: its tokenizer cannot be read: {error}") from None
    longest = declaration.inputs[IDS].largest[1]
    if facts["max_tokens"] > longest:
        raise ExportError(
            f"{declaration.model}: texts have up to {facts['max_tokens']} tokens, the plan takes "
            f"{longest}: raise plan_max_shapes"
        )
    rows, length = shape
    tokenizer.enable_truncation(length) if length > 2 else tokenizer.no_truncation()
    tokenizer.no_padding()
    feed: Feed = {name: np.zeros(shape, np.int64) for name in (IDS, MASK, TYPES)}
    samples: list[Any] = varied_pairs(rows) if TYPES in declaration.inputs else varied_texts(rows)
    for row, encoding in enumerate(tokenizer.encode_batch(samples)):
        kept = encoding.ids[:length]
        feed[IDS][row, : len(kept)], feed[MASK][row, : len(kept)] = kept, 1
        feed[TYPES][row, : len(kept)] = encoding.type_ids[:length]
    return feed


def _caller(encoder: str) -> str:
    """Return the model whose tokenizer an encoder, perhaps a derived one, is called with."""
    for task in TASKS.values():
        if encoder == task.encoder or encoder.startswith(f"{task.encoder}_"):
            return task.caller + encoder.removeprefix(task.encoder)
    raise ExportError(f"{encoder}: no model is known that calls it with texts")


def judged(measured: dict[str, Any], guard: Guard) -> bool | None:
    """Return what a guard says to an earlier build's figures; None where its own is missing."""
    values = measured.get(guard.measure)
    return all(map(guard.accepts, values)) if isinstance(values, list) and values else None


def compare(
    guard: Guard, feed: Feed, expected: list[npt.NDArray[Any]], got: list[npt.NDArray[Any]]
) -> float:
    """Smallest cosine of all rows, or largest difference, over the outputs.

    What a text's padding answers does not count. Whole numbers must be equal where confidences are
    compared: they count rows.

    Raises:
        ExportError: The shapes differ.
    """
    differences = []
    for wanted, computed in zip(expected, got, strict=True):
        if wanted.shape != computed.shape:
            raise ExportError(f"the plan gives {computed.shape}, its graph {wanted.shape}")
        if MASK in feed and wanted.ndim == 3:
            kept = feed[MASK].astype(bool)
            wanted, computed = wanted[kept], computed[kept]
        if guard.measure == "confidence":
            differences.append(_confidence_difference(wanted, computed))
        elif guard.measure == "difference":
            differences.append(difference(wanted, computed))
        else:
            rows = (len(wanted), -1)
            differences.append(float(cosines(wanted.reshape(rows), computed.reshape(rows)).min()))
    worst = min if guard.measure == "cosine" else max
    return float("nan") if np.isnan(differences).any() else worst(differences)


def _confidence_difference(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    """Largest difference after softmax over the last axis; of whole numbers 0 or infinite."""
    if np.issubdtype(expected.dtype, np.integer):
        return 0.0 if np.array_equal(expected, got) else float("inf")
    return float(np.abs(softmax(expected) - softmax(got)).max())
