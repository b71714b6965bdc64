"""The import step: an ONNX file becomes a weight-less graph and a blob, or it is refused.

It runs in a process of its own (tenants/import_process.py): whatever the file does, it does there.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from lipsync_errors import RefusedError, UnsuitableTenantError
from numpy.typing import NDArray

from tenants.blob import Manifest, file_digest, write_blob
from tenants.contract import OUTPUTS, fix_batch, read_model
from tenants.cost import frame_cost
from tenants.golden import MAX_DIFFERENCE, MIN_PSNR, golden_inputs, max_difference, psnr
from tenants.graph import Parted, part, remove_zero_pads
from tenants.layout import BLOCKED, HALF
from tenants.tiny_weights import BOUND, TinyWeights, flush_tiny_weights

_LEVELS = ort.GraphOptimizationLevel
CPU = ["CPUExecutionProvider"]


def import_tenant(path: Path, folder: Path, layout: str) -> Manifest:
    """Validate, fold, optimises, compare a golden frame, and write the result to `folder`.

    Args:
        path: The tenant's ONNX file.
        folder: Where its imports go; other layouts in it stay.
        layout: One of tenants.layout's.

    Raises:
        RefusedError: tenant_file_missing, tenant_file_invalid or tenant_contract;
            tenant_unsuitable: its weights need more than half precision.
        OSError: The folder cannot be written.
    """
    model, files = read_model(path)
    sources = [identity(file, with_digest=True) for file in files]
    original = model.SerializeToString()
    fix_batch(model)
    frame_cost(model)
    try:
        expected = _run(original, golden_inputs())
        parted, tiny = _parted(model, layout)
        quality = _quality(parted, expected, layout)
    except RefusedError:
        raise
    except Exception as error:  # ONNX Runtime has no common base; it tells paths and names
        raise RefusedError(
            "tenant_file_invalid", f"ONNX Runtime refuses it ({type(error).__name__})"
        ) from None
    for before, file in zip(sources, files, strict=True):
        if identity(file) != {key: before[key] for key in ("name", "bytes", "modified_ns")}:
            raise RefusedError("tenant_file_invalid", "the file changed while it was read")
    golden = expected if layout == HALF else None
    flushed = {"bound": BOUND, **asdict(tiny)}
    return write_blob(folder, layout, parted, sources, quality, flushed, golden)


def identity(file: Path, with_digest: bool = False) -> dict[str, Any]:
    """Name, size and time of a source file, with its SHA-256 when asked for."""
    status = file.stat()
    facts = {"name": file.name, "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
    return {**facts, "sha256": file_digest(file)} if with_digest else facts


def session_options(level: Any = _LEVELS.ORT_ENABLE_ALL) -> ort.SessionOptions:
    """One thread, no chatter."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    return options


def _parted(model: onnx.ModelProto, layout: str) -> tuple[Parted, TinyWeights]:
    """Weights and graph, optimised as far as the layout says; and which weights were too small.

    These are looked for once normalisation is in the weights, which makes others small or large.
    """
    plain = _optimised(model, _LEVELS.ORT_ENABLE_BASIC)
    remove_zero_pads(plain)
    tiny = flush_tiny_weights(plain)
    return part(plain if layout == HALF else _optimised(plain, _LEVELS.ORT_ENABLE_ALL)), tiny


def _optimised(model: onnx.ModelProto, level: Any) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory(prefix="lipsync-import-") as folder:
        target = str(Path(folder, "model.onnx"))
        options = session_options(level)
        options.optimized_model_filepath = target
        ort.InferenceSession(model.SerializeToString(), options, CPU)
        return onnx.load(target)


def _quality(parted: Parted, expected: NDArray[Any], layout: str) -> dict[str, float]:
    """Run the golden frame through the skeleton with the weights as they will be stored."""
    skeleton = parted.skeleton.SerializeToString()
    weights = {weight.name: weight.value for weight in parted.weights}
    figures = {}
    if layout == BLOCKED:
        difference = max_difference(expected, _run(skeleton, {**golden_inputs(), **weights}, False))
        if difference > MAX_DIFFERENCE:
            raise RefusedError(
                "tenant_contract", f"the optimised graph differs by {difference:.1e}"
            )
        figures["max_difference"] = difference
    else:
        halved = {
            name: value.astype(np.float16).astype(np.float32) for name, value in weights.items()
        }
        decibels = psnr(expected, _run(skeleton, {**golden_inputs(), **halved}, False))
        if not decibels >= MIN_PSNR:
            raise UnsuitableTenantError(
                f"half precision keeps {decibels:.1f} dB, {MIN_PSNR:.0f} are needed"
            )
        figures["psnr_db"] = min(decibels, 999.0)
    return figures


def _run(model: bytes, inputs: dict[str, NDArray[Any]], optimise: bool = True) -> NDArray[Any]:
    level = _LEVELS.ORT_ENABLE_ALL if optimise else _LEVELS.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, session_options(level), CPU)
    output: NDArray[Any] = session.run(["output"], inputs)[0]
    if output.shape != (1, *OUTPUTS["output"]) or output.dtype != np.float32:
        raise RefusedError("tenant_contract", f"output is {list(output.shape)}")
    if not np.isfinite(output).all():
        raise RefusedError("tenant_contract", "the output of a test frame is not finite")
    return output
