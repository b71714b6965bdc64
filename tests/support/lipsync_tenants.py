"""Narrow tenants of the documented lip-sync network, and what they should answer."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NARROW = 0.125
"""Width factor: 4 to 64 channels, 0.2 million weights."""
RECTANGLE = (slice(None), slice(None), slice(5, 306), slice(5, 311))
"""The mouth in [n, c, 320, 320], from the documented corners (5, 5) and (310, 305)."""
PARAMETERS_UNFOLDED = 12_186_167
"""Trained numbers at full width with batch normalisation, as in a checkpoint."""
PARAMETERS_FOLDED = 12_153_887
"""The same with batch normalisation folded into the convolutions, as in most ONNX files."""


def parameter_count(network: Any) -> int:
    """Trained numbers of a torch module."""
    return sum(int(parameter.numel()) for parameter in network.parameters())


@functools.cache
def template(width: float = NARROW, static_batch: bool = False) -> Any:
    """The graph of one width; making it takes a second."""
    from export.lipsync.demo import Template

    return Template(width, static_batch=static_batch)


def write_tenant(folder: Path, name: str, seed: int, width: float = NARROW) -> Path:
    """Writes a tenant's ONNX file."""
    file = folder / f"{name}.onnx"
    template(width).write(file, seed)
    return file


def frames(count: int, seed: int = 0, channels: int = 6) -> np.ndarray:
    """FP32 [count, channels, 320, 320]; channels 3 to 5 are the face with the mouth black."""
    face = np.random.default_rng(seed).random((count, 3, 320, 320), dtype=np.float32)
    return face if channels == 3 else with_masked(face)


def with_masked(face: np.ndarray) -> np.ndarray:
    """Adds the channels that the server derives when they are missing."""
    masked = face.copy()
    masked[RECTANGLE] = 0
    return np.concatenate([face, masked], axis=1)


def audio(count: int = 1, seed: int = 0) -> np.ndarray:
    """FP32 [count, 32, 16, 16]."""
    random = np.random.default_rng(1000 + seed)
    return random.standard_normal((count, 32, 16, 16), dtype=np.float32)


class Plain:
    """A session of a tenant's own file, as anyone would make it."""

    def __init__(self, file: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, frame: np.ndarray, sound: np.ndarray) -> np.ndarray:
        """FP32 mouths, one frame at a time; one block of `sound` serves all frames."""
        blocks = np.broadcast_to(sound, (len(frame), *sound.shape[1:]))
        feeds = [
            {"input": frame[row : row + 1], "audio": np.ascontiguousarray(blocks[row : row + 1])}
            for row in range(len(frame))
        ]
        return np.concatenate([self._session.run(["output"], feed)[0] for feed in feeds])


@dataclass(frozen=True)
class Tenant:
    """A tenant's file and what it should answer."""

    name: str
    file: Path
    plain: Plain


def made(folder: Path, name: str, seed: int, width: float = NARROW) -> Tenant:
    """Writes a tenant."""
    file = write_tenant(folder, name, seed, width)
    return Tenant(name, file, Plain(file))
