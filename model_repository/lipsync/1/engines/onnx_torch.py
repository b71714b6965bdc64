"""Runs a weight-less ONNX graph in torch, for the operators that such networks are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional

from engines.conv_fusion import CONV_ADD_RELU, CONV_RELU, fused_nodes

Values = dict[str, Any]
Operation = Callable[..., torch.Tensor]


class UnknownOperatorError(Exception):
    """The graph needs something that this module does not do; the message names it."""


@dataclass(frozen=True)
class _Node:
    """One call: `outputs[0] = run(*inputs)`; the names in `last` are not needed afterwards."""

    run: Operation
    inputs: tuple[str, ...]
    output: str
    last: tuple[str, ...]
    fused: bool


class TorchGraph:
    """An ONNX graph as a list of calls of torch."""

    def __init__(self, skeleton: bytes, fuse: bool = False) -> None:
        """Read a graph of `tenants.graph.part`.

        Args:
            skeleton: The graph.
            fuse: Whether convolutions take bias and ReLU in, by operators that CUDA alone has.

        Raises:
            UnknownOperatorError: It cannot be run here.
        """
        model = onnx.load_model_from_string(skeleton)
        graph = model.graph
        self._constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self.weights = tuple(
            value.name for value in graph.input if value.name not in ("input", "audio")
        )
        """Names of the weights, in order."""
        self._nodes = self._steps(fused_nodes(model) if fuse else list(graph.node))
        self.fused = sum(node.fused for node in self._nodes)
        """Convolutions that take their ReLU in."""

    def __call__(
        self,
        weights: Mapping[str, torch.Tensor],
        frames: torch.Tensor,
        audio: torch.Tensor,
        spoil: bool = False,
    ) -> torch.Tensor:
        """Compute the mouths, [n, 3, 320, 320] of the type of `frames`.

        Args:
            weights: By name, of that type.
            frames: [n, 6, 320, 320].
            audio: [n, 32, 16, 16].
            spoil: Whether fused convolutions write where not-a-numbers were before, for a test.
        """
        values: Values = {**weights, "input": frames, "audio": audio}
        for node in self._nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            if spoil and node.fused:  # the allocator hands out again what was freed last
                node.run(*inputs).fill_(torch.nan)
            values[node.output] = node.run(*inputs)
            for name in node.last:
                del values[name]
        result: torch.Tensor = values["output"]
        return result

    def _steps(self, nodes: list[onnx.NodeProto]) -> list[_Node]:
        steps = []
        needed: set[str] = {"output"}
        for node in reversed(nodes):
            constant = {
                slot: self._constants[name]
                for slot, name in enumerate(node.input)
                if name in self._constants
            }
            run = _operation(node, constant)
            inputs = tuple("" if slot in constant else name for slot, name in enumerate(node.input))
            used = {name for name in inputs if name}
            last = tuple(used - needed - set(self.weights))
            needed |= used
            fused = node.op_type in (CONV_RELU, CONV_ADD_RELU)
            steps.append(_Node(run, inputs, node.output[0], last, fused))
        return steps[::-1]


def _operation(node: onnx.NodeProto, constant: Mapping[int, Any]) -> Operation:
    """Return the call for a node; `constant` are its constant inputs by slot."""
    make = _MAKERS.get(node.op_type)
    if make is None or node.domain not in ("", "ai.onnx") or len(node.output) != 1:
        raise UnknownOperatorError(node.op_type)
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return make(attributes, constant)


def _no_constants(constant: Mapping[int, Any], operator: str) -> None:
    if constant:
        raise UnknownOperatorError(f"{operator} of a constant")


def _conv(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
    _no_constants(constant, "Conv")
    top, left, bottom, right = _pads(attributes)
    even = (top, left) == (bottom, right)
    options = _conv_options(attributes)

    def run(x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
        if even:
            return functional.conv2d(x, weight, bias, padding=(top, left), **options)
        padded = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(padded, weight, bias, **options)

    return run


def _conv_relu(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
    """ReLU of a convolution, in one kernel."""
    top, left, *_ = _pads(attributes)
    options = {"padding": (top, left), **_conv_options(attributes)}

    def run(x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
        return torch.ops.aten.cudnn_convolution_relu(x, weight, bias, **options)

    return run


def _conv_add_relu(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
    """ReLU of a convolution and something of its shape, in one kernel."""
    top, left, *_ = _pads(attributes)
    options = {"padding": (top, left), **_conv_options(attributes)}

    def run(x: torch.Tensor, weight: torch.Tensor, bias: Any, z: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.cudnn_convolution_add_relu(x, weight, z, 1.0, bias, **options)

    return run


def _pads(attributes: Mapping[str, Any]) -> list[int]:
    """Top, left, bottom, right."""
    pads = list(attributes.get("pads", (0, 0, 0, 0)))
    if len(pads) != 4 or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise UnknownOperatorError("Conv that is not two-dimensional or pads by itself")
    return pads


def _conv_options(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stride": tuple(attributes.get("strides", (1, 1))),
        "dilation": tuple(attributes.get("dilations", (1, 1))),
        "groups": attributes.get("group", 1),
    }


def _resize(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
    mode = attributes.get("mode", b"nearest").decode()
    where = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    factors = [float(value) for value in constant.get(2, ())]
    sizes = [int(value) for value in constant.get(3, ())]
    if len(factors or sizes) != 4 or (factors and factors[:2] != [1.0, 1.0]):
        raise UnknownOperatorError("Resize to a size that is not constant")
    if mode == "linear" and where in ("align_corners", "half_pixel", "pytorch_half_pixel"):
        options: dict[str, Any] = {
            "mode": "bilinear",
            "align_corners": where == "align_corners",
        }
    elif mode == "nearest" and where == "asymmetric":
        options = {"mode": "nearest"}
        if attributes.get("nearest_mode", b"round_prefer_floor") != b"floor":
            raise UnknownOperatorError("Resize that rounds the nearest")
    else:
        raise UnknownOperatorError(f"Resize {mode} {where}")

    def run(x: torch.Tensor, *_: Any) -> torch.Tensor:
        height, width = sizes[2:] or (
            int(x.shape[2] * factors[2]),
            int(x.shape[3] * factors[3]),
        )
        return functional.interpolate(x, (height, width), **options)

    return run


def _clip(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
    low, high = attributes.get("min"), attributes.get("max")
    low = float(constant[1]) if 1 in constant else low
    high = float(constant[2]) if 2 in constant else high
    return lambda x, *_: torch.clamp(x, low, high)


def _concat(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
    _no_constants(constant, "Concat")
    return lambda *parts: torch.cat(parts, attributes["axis"])


def _scalars(call: Callable[[Any, Any], torch.Tensor]) -> Callable[..., Operation]:
    """Return an operation of two, one of which may be a constant number."""

    def make(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
        for value in constant.values():
            if value.size != 1:
                raise UnknownOperatorError("arithmetic with a constant array")
        known = {slot: float(value.reshape(-1)[0]) for slot, value in constant.items()}
        return lambda a, b: call(known.get(0, a), known.get(1, b))

    return make


def _plain(call: Operation, *names: str) -> Callable[..., Operation]:
    """Return an operation of one, with attributes handed over by name and their ONNX default."""

    def make(attributes: Mapping[str, Any], constant: Mapping[int, Any]) -> Operation:
        _no_constants(constant, getattr(call, "__name__", "operator"))
        return partial(call, **{name: attributes[name] for name in names if name in attributes})

    return make


def _leaky(x: torch.Tensor, alpha: float = 0.01) -> torch.Tensor:
    return functional.leaky_relu(x, alpha)


_MAKERS: dict[str, Callable[..., Operation]] = {
    "Add": _scalars(torch.add),
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    CONV_RELU: _conv_relu,
    CONV_ADD_RELU: _conv_add_relu,
    "Identity": _plain(lambda x: x),
    "LeakyRelu": _plain(_leaky, "alpha"),
    "Mul": _scalars(torch.mul),
    "Relu": _plain(torch.relu),
    "Resize": _resize,
    "Sigmoid": _plain(torch.sigmoid),
    "Sub": _scalars(torch.sub),
    "Tanh": _plain(torch.tanh),
}
