"""Tenants without training: real files of the documented network, random or with a face."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from export.lipsync.architecture import (
    AUDIO_CHANNELS,
    FRAME_CHANNELS,
    LipNetwork,
    residual_projections,
)
from export.lipsync.face_weights import wire_face

OPSET = 11
"""What the published exporter writes."""
RESIDUAL_SCALE = 0.3
"""Keeps the activations of random residual blocks in range."""
BIAS_SCALE = 0.05


class Template:
    """The graph of one width, made once; each tenant fills in weights."""

    def __init__(self, width: float, *, static_batch: bool = False) -> None:
        """`static_batch`: one frame per call, as one of the known exporters writes it."""
        network = LipNetwork(width).eval()
        self._model = onnx.load_model_from_string(to_onnx(network, static_batch=static_batch))
        self._residual = residual_projections(network)

    def write(self, file: Path, seed: int, *, face: bool = False) -> None:
        """Write a tenant; the same seed gives the same weights.

        Args:
            file: Replaced when it is there.
            seed: Of all weights.
            face: Whether the network gives the face back (`wire_face`); full width only.
        """
        random = np.random.default_rng(seed)
        tensors = {
            tensor.name: tensor
            for tensor in self._model.graph.initializer
            if tensor.name.endswith((".weight", ".bias"))
        }
        values = {
            name: self._values(random, name, tuple(tensor.dims)) for name, tensor in tensors.items()
        }
        if face:
            wire_face(values, seed)
        for name, tensor in tensors.items():
            tensor.CopyFrom(numpy_helper.from_array(values[name], name))
        self._model.doc_string = f"Pentad's demo, not trained: {'a face' if face else 'random'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_bytes(self._model.SerializeToString())
        os.replace(part, file)

    def _values(
        self, random: np.random.Generator, name: str, shape: tuple[int, ...]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """He initialisation (arXiv:1502.01852) of weights, small biases."""
        values = random.standard_normal(shape, dtype=np.float32)
        if len(shape) == 1:
            return values * np.float32(BIAS_SCALE)
        scale = math.sqrt(2 / math.prod(shape[1:]))
        return values * np.float32(scale * (RESIDUAL_SCALE if name in self._residual else 1))


def to_onnx(network: LipNetwork, *, static_batch: bool = False, folding: bool = True) -> bytes:
    """Return the network as an ONNX file with the documented names.

    Args:
        network: In evaluation mode.
        static_batch: A batch of one, instead of any.
        folding: Whether the exporter may fold normalisation into convolutions.
    """
    frames = torch.rand(1, FRAME_CHANNELS, 320, 320)
    audio = torch.rand(1, AUDIO_CHANNELS, 16, 16)
    axes = {} if static_batch else {name: {0: "batch"} for name in ("input", "audio", "output")}
    sink = io.BytesIO()
    mode = torch.onnx.TrainingMode.EVAL if folding else torch.onnx.TrainingMode.PRESERVE
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing; sizes are fixed but for the batch
        torch.onnx.export(
            network,
            (frames, audio),
            sink,
            dynamo=False,  # the published files come from this exporter
            opset_version=OPSET,
            do_constant_folding=folding,
            training=mode,
            input_names=["input", "audio"],
            output_names=["output"],
            dynamic_axes=axes,
        )
    return sink.getvalue()


def tenant_name(number: int) -> str:
    """File name of a demo tenant, counted from 1."""
    return f"tenant_{number:04}.onnx"


def write_tenants(
    folder: Path,
    tenants: int,
    *,
    width: float = 1.0,
    seed: int = 0,
    static_batch: bool = False,
    face: bool = False,
    written: Callable[[str], None] = lambda name: None,
) -> list[Path]:
    """Write seeded tenants.

    Args:
        folder: Created when missing.
        tenants: How many.
        width: Factor on the network's widths; 1 gives 12.15 million weights, 48.6 MB.
        seed: Of the first; the next ones follow.
        static_batch: See `Template`.
        face: See `Template.write`; otherwise their weights are random.
        written: Told each finished file.
    """
    template = Template(width, static_batch=static_batch)
    files = []
    for number in range(1, tenants + 1):
        file = folder / tenant_name(number)
        template.write(file, seed + number - 1, face=face)
        files.append(file)
        written(file.name)
    return files
