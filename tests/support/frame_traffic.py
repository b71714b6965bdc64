"""What one step of the lip-sync network moves in a card's memory, counted from its operators."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.support.model_code import code_of

HALF = 2
"""Bytes of a number in FP16."""
CHANNELS = {"input": (6, 320, 320), "audio": (32, 16, 16)}


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * HALF


class Traffic(TorchDispatchMode):
    """Counts what PyTorch's operators read and write, and the kernels, on tensors without data.

    A convolution with a bias is two kernels with cuDNN: PyTorch adds the bias by itself
    (`output.add_(bias)` in aten/src/ATen/native/cudnn).
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()
        self.kernels: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.is_view:
            return out
        name = func.overloadpacket.__name__
        if name == "convolution":
            pixels, weight, bias = args[:3]
            self._add("convolution", _size(pixels) + _size(out))
            self.bytes["weights"] += _size(weight)
            if bias is not None:
                self._add("bias", 2 * _size(out))
                self.bytes["weights"] += _size(bias)
        else:
            moved = [one for one in tree_leaves((args, out)) if isinstance(one, torch.Tensor)]
            self._add(name, sum(map(_size, moved)))
        return out

    def _add(self, name: str, count: int) -> None:
        self.bytes[name] += count
        self.kernels[name] += 1


def counted(skeleton: bytes, shapes: dict[str, tuple[int, ...]], batch: int) -> Traffic:
    """Return what a step of so many frames moves.

    Args:
        skeleton: graph of an import for GPUs.
        shapes: of its weights.
        batch: frames.
    """
    with code_of("lipsync"):
        from engines.onnx_torch import TorchGraph

    call = TorchGraph(skeleton)

    def empty(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float16, device="meta")

    weights = {name: empty(shapes[name]) for name in call.weights}
    frames, audio = (empty((batch, *CHANNELS[name])) for name in ("input", "audio"))
    with Traffic() as traffic:
        call(weights, frames, audio)
    return traffic


def dense_with_relu(skeleton: bytes) -> tuple[int, float]:
    """Return the dense convolutions that a ReLU alone follows, and the bytes of their maps."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(skeleton)).graph
    known = (*graph.value_info, *graph.output, *graph.input)
    sizes = {
        value.name: math.prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
        for value in known
    }
    users: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node.op_type)
    found = [
        node.output[0]
        for node in graph.node
        if node.op_type == "Conv"
        and users.get(node.output[0]) == ["Relu"]
        and all(item.i == 1 for item in node.attribute if item.name == "group")
    ]
    return len(found), HALF * sum(sizes[name] for name in found)


def imported(file: Path, folder: Path) -> tuple[bytes, dict[str, tuple[int, ...]]]:
    """Import a tenant for GPUs; returns its graph and the shapes of its weights."""
    with code_of("lipsync"):
        from tenants.blob import OpenBlob
        from tenants.importing import import_tenant
        from tenants.layout import HALF as LAYOUT

    blob = OpenBlob(folder, import_tenant(file, folder, LAYOUT))
    return blob.skeleton, {one.name: tuple(one.shape) for one in blob.manifest.weights}
