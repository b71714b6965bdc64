"""torchvision classifier → portable ONNX graph that takes pictures as they are decoded."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from export.classifier_source import Classifier
from export.errors import ExportError
from export.graph_parity import judged, pictures, session
from export.torchvision_library import Torchvision
from export.tracing import OPSET

# Of torchvision.transforms._presets.ImageClassification: channels R, G, B in 0..1.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

TOLERANCE = 1e-4
"""Largest difference of a confidence. fp32 kernels of two engines differ by about 1e-6."""

BATCHES = (1, 2, 5)


class FromPixels(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """A network with torchvision's normalisation before it.

    Input `image` UINT8 [batch, size, size, 3], RGB; output `logits` FP32 [batch, classes].
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        std = torch.tensor(STD).view(3, 1, 1)
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -torch.tensor(MEAN).view(3, 1, 1) / std)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch."""
        # Transposed while still bytes: a quarter of the memory traffic.
        pixels = image.permute(0, 3, 1, 2).to(torch.float32)
        logits: Tensor = self.model(pixels * self.scale + self.shift)
        return logits


def load_network(library: Torchvision, classifier: Classifier) -> nn.Module:
    """Return the network with its weights, in fp32 and evaluation mode.

    Raises:
        ExportError: The weights cannot be read, or belong to another network.
    """
    try:
        if classifier.weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(classifier.weights)
        else:
            state = torch.load(classifier.weights, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle and safetensors raise whatever the bytes make them raise
        raise ExportError(f"{classifier.weights.name} holds no readable weights") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    model = library.network(classifier.architecture, len(classifier.labels))
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise ExportError(
            f"{classifier.weights.name} does not fit {classifier.architecture} "
            f"with {len(classifier.labels)} classes"
        ) from error
    return FromPixels(model).eval()


def export_graph(model: nn.Module, target: Path, size: int) -> None:
    """Write `model` as ONNX with a dynamic batch.

    Args:
        model: From `load_network`.
        target: File to write.
        size: Side of the picture in pixels.
    """
    sink = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer warnings; the parity check is what counts
        torch.onnx.export(
            model,
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            sink,
            dynamo=False,  # as export.tracing
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )
    graph = onnx.load_from_string(sink.getvalue())
    _emit_batch_size(graph.graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(target))


def _emit_batch_size(graph: Any) -> None:
    """Add `batch_size`, INT32 [batch, 1]: every row tells how many rows went through with it.

    Read from the input's own shape, so it is true whatever server batched the rows.
    """
    one = helper.make_tensor("batch_size/one", TensorProto.INT64, [1], [1])
    graph.initializer.append(one)
    graph.node.extend(
        [
            helper.make_node("Shape", ["image"], ["batch_size/rows"], start=0, end=1),
            helper.make_node("Concat", ["batch_size/rows", one.name], ["batch_size/shape"], axis=0),
            helper.make_node(
                "Cast", ["batch_size/rows"], ["batch_size/value"], to=TensorProto.INT32
            ),
            helper.make_node("Expand", ["batch_size/value", "batch_size/shape"], ["batch_size"]),
        ]
    )
    graph.output.append(
        helper.make_tensor_value_info("batch_size", TensorProto.INT32, ["batch", 1])
    )


def check_graph(model: nn.Module, graph: Path, size: int) -> float:
    """Run `model` and the ONNX file on batches of pictures and compare the confidences.

    Returns:
        The largest difference of a confidence.

    Raises:
        ExportError: It exceeds `TOLERANCE`, is not a number, or a batch is miscounted.
    """
    exported, worst = session(graph), 0.0
    for rows in BATCHES:
        images = pictures(rows, (size, size))
        with torch.no_grad():
            expected = torch.softmax(model(torch.from_numpy(images)), 1).numpy()
        logits, counted = exported.run(["logits", "batch_size"], {"image": images})
        if counted.tolist() != [[rows]] * rows:
            raise ExportError("the exported graph miscounts its batch")
        got = torch.softmax(torch.from_numpy(logits), 1).numpy()
        worst = max(worst, float(np.abs(expected - got).max()))
    return judged(worst, TOLERANCE)
