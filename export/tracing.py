"""Torch module → portable ONNX graph (plain operators only, dynamic batch and length)."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from export.task import IDS, MASK, TYPES, Task

OPSET = 17
"""First with LayerNormalization; read by ONNX Runtime >= 1.13, OpenVINO >= 2023 and TensorRT 10."""

_EXTERNAL_DATA_ABOVE = 1_800_000_000  # bytes; protobuf ends at 2 GiB


def _padding_mask(
    config: Any, inputs_embeds: torch.Tensor, attention_mask: torch.Tensor, **_: Any
) -> torch.Tensor:
    """Additive [batch, 1, 1, length] mask; transformers' own branches on the traced lengths."""
    kept = attention_mask[:, None, None, :].to(inputs_embeds.dtype)
    return (1.0 - kept) * torch.finfo(inputs_embeds.dtype).min


def _attention_span(query: torch.Tensor, key: torch.Tensor, limit: int) -> torch.Tensor:
    """DeBERTa's relative span as a graph value; transformers' own freezes the traced length.

    Lengths never exceed `limit` because the tokenizer truncates to the position table.
    """
    return torch._shape_as_tensor(query)[-2]


_TRACEABLE = {
    "create_bidirectional_mask": _padding_mask,
    "compute_attention_span": _attention_span,
}


@contextmanager
def _traceable(encoder: Any) -> Iterator[None]:
    """Swap what tracing would freeze in the encoder's own module, for the time of an export."""
    module = sys.modules[type(encoder).__module__]
    originals = {name: getattr(module, name) for name in _TRACEABLE if hasattr(module, name)}
    for name in originals:
        setattr(module, name, _TRACEABLE[name])
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(module, name, original)


def export_onnx(model: Any, target: Path, task: Task) -> None:
    """Write `model` (a module of `export.heads`) as ONNX.

    Args:
        model: Module with the inputs of `task`, each INT64 [batch, length].
        target: File to write; weights too large for one file go beside it.
        task: Names the inputs and the output, and tells its rank.
    """
    samples = {
        IDS: torch.tensor([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]),
        MASK: torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        TYPES: torch.tensor([[0, 0, 0, 1, 1], [0, 0, 1, 0, 0]]),
    }
    axes = {name: {0: "batch", 1: "length"} for name in task.inputs}
    axes[task.output] = {0: "batch"} if task.output_rank == 2 else {0: "batch", 1: "length"}
    size = sum(parameter.nbytes for parameter in model.parameters())
    # Above protobuf's limit torch writes the weights beside the graph, which needs a real path.
    sink: Any = str(target) if size > _EXTERNAL_DATA_ABOVE else io.BytesIO()
    model.eval()  # the exporter restores the mode it found, and modules are born in training mode
    with _traceable(model.encoder), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer warnings; the parity check is what counts
        torch.onnx.export(
            model,
            tuple(samples[name] for name in task.inputs),
            sink,
            dynamo=False,  # the newer exporter needs onnxscript and specialises DeBERTa's lengths
            opset_version=OPSET,
            input_names=list(task.inputs),
            output_names=[task.output],
            dynamic_axes=axes,
        )
    if isinstance(sink, io.BytesIO):
        target.write_bytes(sink.getvalue())
