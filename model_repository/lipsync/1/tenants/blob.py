"""The imported form of a tenant: a weight-less graph, a blob of weights, a manifest of both.

The manifest is written last and names its files by their content, so a reader sees one import or
the other, never a mixture. A blob that does not fit its source, this machine or its own checksum
is never used.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from frames.pixels import IMAGE_CHANNELS, SIDE
from lipsync_errors import RefusedError
from numpy.typing import NDArray

from tenants.layout import ALIGNMENT, DTYPES, layout_key

if TYPE_CHECKING:  # the import step's; whoever only reads blobs does without ONNX
    from tenants.graph import Parted

PAGE = mmap.PAGESIZE
GOLDEN = np.dtype(np.float16)
"""Of the stored golden output: from 0 to 1, it is right to 84 dB."""
GOLDEN_SHAPE = (1, IMAGE_CHANNELS, SIDE, SIDE)


@dataclass(frozen=True)
class Placed:
    """Where a weight lies in the blob.

    Attributes:
        name: Input of the skeleton.
        shape: Its dimensions.
        offset: Bytes from the beginning.
    """

    name: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Manifest:
    """What is known of an import.

    Attributes:
        key: `layout_key` where it was made.
        sources: Name, bytes, modification time (ns) and SHA-256 of each file it was made from.
        graph: Hash that tenants with the same engine share.
        skeleton: File name of the graph; its SHA-256 is `skeleton_sha256`.
        skeleton_sha256: Digest of the graph's file.
        blob: File name of the weights.
        blob_bytes: Their size.
        blob_sha256: Their digest.
        weights: Where each weight lies.
        quality: Figures of the golden frame.
        tiny_weights: Bound below which weights were set to zero, and how many were (tiny_weights).
        golden: Offset in the blob of what the tenant's own file makes of the golden frame; None
            in layouts that are compared when they are imported only.
    """

    key: str
    sources: list[dict[str, Any]]
    graph: str
    skeleton: str
    skeleton_sha256: str
    blob: str
    blob_bytes: int
    blob_sha256: str
    weights: list[Placed]
    quality: dict[str, float]
    tiny_weights: dict[str, float]
    golden: int | None = None


class OpenBlob:
    """The weights of one tenant, mapped read-only; pages come from disk when first touched.

    Attributes:
        skeleton: Bytes of the graph.
        manifest: Its manifest.
        memory_bytes: Of the mapping, whole pages.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Map a valid blob.

        Raises:
            OSError: It went away.
        """
        self.manifest = manifest
        self.skeleton = (folder / manifest.skeleton).read_bytes()
        with (folder / manifest.blob).open("rb") as file:
            self._map = mmap.mmap(file.fileno(), manifest.blob_bytes, prot=mmap.PROT_READ)
        self._map.madvise(mmap.MADV_WILLNEED)
        self._dtype = DTYPES[manifest.key.split("/")[1]]
        self.memory_bytes = -(-manifest.blob_bytes // PAGE) * PAGE

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Read-only views by input of the skeleton; the mapping lives as long as one of them."""
        return {
            weight.name: np.frombuffer(
                self._map, self._dtype, math.prod(weight.shape), weight.offset
            ).reshape(weight.shape)
            for weight in self.manifest.weights
        }

    def flat(self) -> NDArray[Any]:
        """All weights as one array, gaps of the alignment included."""
        end = self.manifest.golden
        count = -1 if end is None else end // self._dtype.itemsize
        return np.frombuffer(self._map, self._dtype, count)

    def golden(self) -> NDArray[Any]:
        """Return what the tenant's own file makes of the golden frame, FP32 [1, 3, 320, 320].

        Raises:
            ValueError: The blob is of a layout without it.
        """
        shape, offset = GOLDEN_SHAPE, self.manifest.golden
        if offset is None:
            raise ValueError("the blob holds no golden frame")
        mouth = np.frombuffer(self._map, GOLDEN, math.prod(shape), offset)
        return mouth.reshape(shape).astype(np.float32)


def write_blob(
    folder: Path,
    layout: str,
    parted: Parted,
    sources: list[dict[str, Any]],
    quality: dict[str, float],
    tiny_weights: dict[str, float],
    golden: NDArray[Any] | None = None,
) -> Manifest:
    """Write skeleton, weights and, last, the manifest; remove what they replace.

    Args:
        folder: Created when missing.
        layout: One of tenants.layout's.
        parted: What is written.
        sources: Of the manifest.
        quality: Of the manifest.
        tiny_weights: Of the manifest.
        golden: What the original makes of the golden frame, FP32 [1, 3, 320, 320]; stored in FP16
            behind the weights.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skeleton = parted.skeleton.SerializeToString(deterministic=True)
    file = folder / "blob.part"
    weights, digest, size = _write_weights(file, parted, DTYPES[layout], golden)
    behind = None if golden is None else size - golden.size * GOLDEN.itemsize
    manifest = Manifest(
        key=layout_key(layout),
        sources=sources,
        graph=parted.graph,
        skeleton=f"{layout}-{parted.graph[:16]}.onnx",
        skeleton_sha256=hashlib.sha256(skeleton).hexdigest(),
        blob=f"{layout}-{digest[:16]}.bin",
        blob_bytes=size,
        blob_sha256=digest,
        weights=weights,
        quality=quality,
        tiny_weights=tiny_weights,
        golden=behind,
    )
    os.replace(folder / "blob.part", folder / manifest.blob)
    _write(folder / manifest.skeleton, skeleton)
    _write(folder / f"{layout}.json", json.dumps(asdict(manifest)).encode())
    keep = {manifest.blob, manifest.skeleton, f"{layout}.json"}
    for file in folder.glob(f"{layout}*"):
        if file.name not in keep:
            file.unlink()
    return manifest


def read_manifest(folder: Path, layout: str) -> Manifest | None:
    """Return the manifest of an import, or None when there is none that can be read."""
    try:
        fields = json.loads((folder / f"{layout}.json").read_bytes())
        weights = [
            Placed(item["name"], tuple(item["shape"]), item["offset"]) for item in fields["weights"]
        ]
        return Manifest(**{**fields, "weights": weights})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_usable(folder: Path, layout: str, manifest: Manifest) -> bool:
    """Whether an import is whole and right for this machine; the weights' checksum is not read."""
    if manifest.key != layout_key(layout):
        return False
    try:
        skeleton = (folder / manifest.skeleton).read_bytes()
        size = (folder / manifest.blob).stat().st_size
    except OSError:
        return False
    inside = all(
        weight.offset >= 0 and weight.offset + _bytes(weight, DTYPES[layout]) <= size
        for weight in manifest.weights
    )
    if manifest.golden is not None:
        last = manifest.golden + math.prod(GOLDEN_SHAPE) * GOLDEN.itemsize
        inside = inside and manifest.golden >= 0 and last <= size
    digest = hashlib.sha256(skeleton).hexdigest()
    return inside and size == manifest.blob_bytes and digest == manifest.skeleton_sha256


def file_size(path: Path) -> int:
    """Bytes of a tenant's file.

    Raises:
        RefusedError: tenant_file_missing.
    """
    try:
        if not path.is_file():
            raise RefusedError("tenant_file_missing", "there is no such file")
        return path.stat().st_size
    except OSError:
        raise RefusedError("tenant_file_missing", "the file cannot be read") from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _bytes(weight: Placed, dtype: np.dtype[Any]) -> int:
    return math.prod(weight.shape) * dtype.itemsize


def _write_weights(
    path: Path, parted: Parted, dtype: np.dtype[Any], golden: NDArray[Any] | None
) -> tuple[list[Placed], str, int]:
    digest, placed, offset = hashlib.sha256(), [], 0
    with path.open("wb") as file:
        for weight in parted.weights:
            placed.append(Placed(weight.name, weight.value.shape, offset))
            data = np.ascontiguousarray(weight.value, dtype).tobytes()
            data += b"\0" * (-len(data) % ALIGNMENT)
            file.write(data)
            digest.update(data)
            offset += len(data)
        if golden is not None:
            data = golden.astype(GOLDEN).tobytes()
            file.write(data)
            digest.update(data)
            offset += len(data)
        file.flush()
        os.fsync(file.fileno())
    return placed, digest.hexdigest(), offset


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
