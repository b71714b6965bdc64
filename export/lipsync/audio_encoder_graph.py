"""The graph of `audio_encoder`: mel windows in batches in, audio features out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from export.errors import ExportError
from export.flush import flush_graph
from export.graph_parity import difference, judged, run

MEL_SHAPE = (1, 80, 16)
"""One window: channel, mel bands, columns."""
FEATURES = 512
"""Numbers of a window's audio features."""
INPUT = "mel"
OUTPUT = "audio_features"
GIVEN_INPUTS = ("mel_input", "mel_spectrogram", INPUT)
"""What known exporters call the input."""


def write_encoder(source: Path, target: Path) -> tuple[float, dict[str, Any]]:
    """Write an encoder with `mel` FP32 [batch, 1, 80, 16] in, `audio_features` [batch, 512] out.

    Returns:
        The largest difference to the original, window by window, and what `flush_graph` says.

    Raises:
        ExportError: It is no such encoder, or does not take several windows.
    """
    try:
        model = onnx.load(str(source))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's, onnx's and the file system's
        raise ExportError(f"{source.name} is not an ONNX file") from error
    original = model.SerializeToString()
    input_name = _only_input(model, source)
    windows = np.random.default_rng(0).normal(0, 2, (5, *MEL_SHAPE)).astype(np.float32)
    expected = np.concatenate(
        [run(original, [OUTPUT], {input_name: window[None]})[0] for window in windows]
    )
    if expected.shape != (len(windows), FEATURES):
        raise ExportError(f"{source.name} gives {list(expected.shape[1:])}, not [{FEATURES}]")
    _rename_input(model, input_name)
    _free_batch(model)
    target.write_bytes(model.SerializeToString())
    flushed = flush_graph(target, lambda: [{INPUT: windows}])
    worst = 0.0
    for count in (1, 2, len(windows)):
        (got,) = run(target.read_bytes(), [OUTPUT], {INPUT: windows[:count]})
        if got.shape != (count, FEATURES):
            raise ExportError(f"{source.name} does not take {count} windows at once")
        worst = max(worst, difference(expected[:count], got))
    return judged(worst), flushed


def _only_input(model: onnx.ModelProto, source: Path) -> str:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    outputs = [value.name for value in model.graph.output]
    names = [value.name for value in inputs]
    if len(names) != 1 or names[0] not in GIVEN_INPUTS or outputs != [OUTPUT]:
        raise ExportError(
            f"{source.name} has inputs {names} and outputs {outputs}; wanted are one of "
            f"{', '.join(GIVEN_INPUTS)} and {OUTPUT}"
        )
    shape = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or tuple(shape[1:]) != MEL_SHAPE:
        raise ExportError(f"{source.name} takes {shape}, not [1, {', '.join(map(str, MEL_SHAPE))}]")
    return str(names[0])


def _rename_input(model: onnx.ModelProto, old: str) -> None:
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name == old:
                node.input[slot] = INPUT
    for value in model.graph.input:
        if value.name == old:
            value.name = INPUT


def _free_batch(model: onnx.ModelProto) -> None:
    """Lets the batch be any number: in the declarations, and where a Reshape says 1."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    targets = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in targets:
            shape = numpy_helper.to_array(tensor).copy()
            if len(shape) > 1 and shape[0] == 1:
                shape[0] = 0 if -1 in shape[1:] else -1
                tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
