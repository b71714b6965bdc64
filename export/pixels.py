"""Surgery on ONNX graphs of others: they take decoded pictures in batches, and run fast on CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.face_families import PixelFormat

IMAGE = "image"
"""Input of every graph that takes pictures: UINT8 [batch, height, width, 3], RGB."""


def load_graph(file: Path) -> Any:
    """Return the model with its weights inside and only real inputs.

    Raises:
        ExportError: Not an ONNX model with one input.
    """
    try:
        model = onnx.load(str(file))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker raise what they like
        raise ExportError(f"{file.name} is no readable ONNX model") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ExportError(f"{file.name} has {len(inputs)} inputs, not one picture")
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # below, weights had to be inputs
    return model


def free_sizes(model: Any, sizes: tuple[int | str, int | str]) -> None:
    """Frees the batch of a model's input, and sets its height and width (a name frees them)."""
    value = model.graph.input[0]
    shape = ["batch", 3, *sizes]
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape))
    del model.graph.value_info[:]  # shapes in between, inferred for the old sizes
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def accept_pixels(model: Any, form: PixelFormat) -> None:
    """Put the input `IMAGE` before the model's own, whose sizes it takes over."""
    graph = model.graph
    inner = graph.input[0]
    sizes = [d.dim_param or d.dim_value for d in inner.type.tensor_type.shape.dim]
    shape = [sizes[0], sizes[2], sizes[3], sizes[1]]
    # Transposed and reordered while still bytes: a quarter of the memory traffic.
    nodes = [helper.make_node("Transpose", [IMAGE], ["pixels/planes"], perm=[0, 3, 1, 2])]
    last = "pixels/planes"
    if form.color == "bgr":
        order = constant(graph, "pixels/bgr", np.array([2, 1, 0], np.int64))
        nodes.append(helper.make_node("Gather", [last, order], ["pixels/ordered"], axis=1))
        last = "pixels/ordered"
    steps: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
        ("Cast", (), {"to": TensorProto.FLOAT})
    ]
    if form.mean:
        steps.append(("Sub", (constant(graph, "pixels/mean", np.float32(form.mean)),), {}))
    if form.std != 1:
        steps.append(("Div", (constant(graph, "pixels/std", np.float32(form.std)),), {}))
    for number, (operator, further, attributes) in enumerate(steps, 1):
        name = inner.name if number == len(steps) else f"pixels/{operator.lower()}"
        nodes.append(helper.make_node(operator, [last, *further], [name], **attributes))
        last = name
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *own])
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, shape))


def constant(graph: Any, name: str, value: npt.NDArray[Any] | np.generic) -> str:
    """Add a constant to a graph and return its name."""
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def split_prelu(model: Any) -> None:
    """Rewrites PRelu(x) = s x + (1 - s) max(x, 0), both products as batch normalisations.

    ONNX Runtime keeps these in the blocked layout of its convolutions on CPU, which PRelu is not
    written for: MobileFaceNet takes 3.1 instead of 8.8 ms a picture on one core.
    """
    graph = model.graph
    slopes = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        slope = slopes.get(node.input[1]) if node.op_type == "PRelu" else None
        if slope is None or len(slope.dims) != 3 or list(slope.dims[1:]) != [1, 1]:
            nodes.append(node)
            continue
        name = node.output[0]
        values = numpy_helper.to_array(slope).reshape(-1)
        zeros = constant(graph, f"{name}/zeros", np.zeros_like(values))
        ones = constant(graph, f"{name}/ones", np.ones_like(values))
        below = constant(graph, f"{name}/slope", values)
        above = constant(graph, f"{name}/rest", 1 - values)
        scaled = ((node.input[0], below, f"{name}/linear"), (f"{name}/relu", above, f"{name}/up"))
        nodes.append(helper.make_node("Relu", [node.input[0]], [f"{name}/relu"]))
        nodes += [
            helper.make_node(
                "BatchNormalization", [value, factor, zeros, zeros, ones], [out], epsilon=0.0
            )
            for value, factor, out in scaled
        ]
        nodes.append(helper.make_node("Add", [f"{name}/linear", f"{name}/up"], [name]))
    _replace_nodes(graph, nodes)


def split_prelus(model: Any) -> dict[str, tuple[str, str]]:
    """PRelus that `split_prelu` has split: input and slope of each, by the name of its output."""
    slopes = {tensor.name for tensor in model.graph.initializer}
    return {
        name: (node.input[0], slope)
        for node in model.graph.node
        if node.op_type == "Relu" and node.output[0].endswith("/relu")
        for name in [node.output[0].removesuffix("/relu")]
        if (slope := f"{name}/slope") in slopes
    }


def join_prelu(model: Any) -> None:
    """Undoes `split_prelu`, for engines that have a fast PRelu: GPUs' do."""
    graph, prelus = model.graph, split_prelus(model)
    slopes = {tensor.name: tensor for tensor in graph.initializer}
    gone = {f"{name}/{part}" for name in prelus for part in ("relu", "linear", "up")}
    nodes = []
    for node in graph.node:
        name = node.output[0]
        if name in prelus:
            x, slope = prelus[name]
            slopes[slope].dims[:] = [slopes[slope].dims[0], 1, 1]
            nodes.append(helper.make_node("PRelu", [x, slope], [name]))
        elif name not in gone:
            nodes.append(node)
    _replace_nodes(graph, nodes)


def _replace_nodes(graph: Any, nodes: list[Any]) -> None:
    """Replace all nodes; constants that none uses go, too."""
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def finish(model: Any, name: str, value: str, shape: list[str | int], target: Path) -> None:
    """Make `value` the only output under this name, check the graph and write it.

    Raises:
        ExportError: The graph is not valid.
    """
    graph = model.graph
    for node in graph.node:
        for places in (node.input, node.output):
            places[:] = [name if place == value else place for place in places]
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ExportError(f"the changed graph is not valid: {error}") from error
    onnx.save(model, str(target))
