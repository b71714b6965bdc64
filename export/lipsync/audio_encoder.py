"""The Triton model `audio_encoder`, made from the operator's ONNX file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from export import artefacts
from export.errors import ExportError
from export.folders import derive
from export.graph_parity import difference, judged, run
from export.progress import Progress

MEL_SHAPE = (1, 80, 16)
"""One window: channel, mel bands, columns."""
FEATURES = 512
"""Numbers of a window's audio features."""
MODEL = "audio_encoder"
GRAPH = "model.onnx"
INPUT = "mel"
OUTPUT = "audio_features"
GIVEN_INPUTS = ("mel_input", "mel_spectrogram", INPUT)
"""What known exporters call the input."""


@dataclass(frozen=True)
class AudioEncoderExport:
    """An audio encoder.

    Attributes:
        file: The operator's ONNX file, or where the demo's random one is written.
        demo: Whether to write that one.
        name: Triton model; another one than `audio_encoder` is derived from it.
    """

    file: Path
    demo: bool
    repository: Path
    name: str = MODEL

    def is_current(self) -> bool:
        """See Export."""
        if not self.file.is_file():
            return False
        folder = artefacts.version_folder(self.repository, self.name)
        return artefacts.up_to_date(folder, self._made_from())

    def make(self, progress: Progress) -> None:
        """See Export."""
        if self.demo and not self.file.is_file():
            # Imported late: it brings torch, and mostly there is nothing to make.
            from export.lipsync.audio_architecture import write_random_encoder

            write_random_encoder(self.file)
        if not self.file.is_file():
            raise ExportError(f"{self.file} is no file")
        if self.name != MODEL:
            derive(self.repository, MODEL, {MODEL: self.name})
        folder = artefacts.version_folder(self.repository, self.name)
        with (
            progress.busy(f"export {self.name} ({self.file.name})"),
            artefacts.publish(folder, self._made_from()) as scratch,
        ):
            worst = write_encoder(self.file, scratch / GRAPH)
            facts = {
                "model": "random weights (demo)" if self.demo else self.file.stem,
                "parity_max_difference": worst,
            }
            artefacts.write_json(scratch / "metadata.json", facts)

    def _made_from(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return {"sha256": digest, "demo": self.demo}


def write_encoder(source: Path, target: Path) -> float:
    """Write an encoder with `mel` FP32 [batch, 1, 80, 16] in, `audio_features` [batch, 512] out.

    Returns:
        The largest difference to the original, window by window.

    Raises:
        ExportError: It is no such encoder, or does not take several windows.
    """
    try:
        model = onnx.load(str(source))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's, onnx's and the file system's
        raise ExportError(f"{source.name} is not an ONNX file") from error
    original = model.SerializeToString()
    given = _only_input(model, source)
    windows = np.random.default_rng(0).normal(0, 2, (5, *MEL_SHAPE)).astype(np.float32)
    expected = np.concatenate(
        [run(original, [OUTPUT], {given: window[None]})[0] for window in windows]
    )
    if expected.shape != (len(windows), FEATURES):
        raise ExportError(f"{source.name} gives {list(expected.shape[1:])}, not [{FEATURES}]")
    _rename_input(model, given)
    _free_batch(model)
    target.write_bytes(model.SerializeToString())
    worst = 0.0
    for count in (1, 2, len(windows)):
        (got,) = run(target.read_bytes(), [OUTPUT], {INPUT: windows[:count]})
        if got.shape != (count, FEATURES):
            raise ExportError(f"{source.name} does not take {count} windows at once")
        worst = max(worst, difference(expected[:count], got))
    return judged(worst)


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


def _rename_input(model: onnx.ModelProto, given: str) -> None:
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name == given:
                node.input[slot] = INPUT
    for value in model.graph.input:
        if value.name == given:
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
