"""Whether two pictures or vectors are of one person: one against one, and nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import RefusedError, UnavailableError
from gateway.http.base64_field import decode_base64
from gateway.services.iot.faces import FaceService, Picture
from gateway.services.iot.schemas import MAX_DIMENSIONS, CompareRequest, Side

Vector = NDArray[np.float64]
NAMES = ("first", "second")


@dataclass(frozen=True)
class Comparison:
    """Two sides as they arrived.

    Attributes:
        pictures: by name of the side.
        vectors: by name of the side.
    """

    pictures: dict[str, Picture]
    vectors: dict[str, Vector]


def sides(body: CompareRequest, limit: int) -> Comparison:
    """Return the decoded sides; the body's pictures are let go.

    Args:
        body: as it was validated.
        limit: most bytes of a picture.

    Raises:
        BadRequestError: not base64.
        BodyTooLargeError: over the limit.
        RefusedError: a vector that is none.
    """
    comparison = Comparison({}, {})
    for name, side in zip(NAMES, (body.first, body.second), strict=True):
        if side.data is not None:
            label = f"The {name} image"
            data = decode_base64(side.data, f"Invalid image data: {label}", limit)
            side.data = None  # larger than the picture, which may have to wait
            comparison.pictures[name] = Picture(data, "", label)
        else:
            comparison.vectors[name] = _vector(side, f"The {name} vector")
    return comparison


async def compare(faces: FaceService, sides: Comparison) -> dict[str, Any]:
    """Return the answer of ``/iot/compare``, but for the time it took.

    Raises:
        RefusedError: a picture without a face, or a vector of another embedder.
        GatewayError: busy, down, deadline or failed inference.
    """
    faces.expect()
    for name, vector in sides.vectors.items():
        _check_dimensions(vector, name, faces.dimensions)
    vectors, reports = dict(sides.vectors), dict[str, Any]()
    if sides.pictures:
        enrollments = await faces.enroll_each(list(sides.pictures.values()))
        for name, enrollment in zip(sides.pictures, enrollments, strict=True):
            vectors[name] = enrollment.vector.astype(np.float64)
            reports[name] = enrollment.reports[0]
    cosine = _cosine(vectors["first"], vectors["second"])
    threshold = faces.same_person
    return {
        "cosine": round(cosine, 6),
        "threshold": threshold,
        "same": None if threshold is None else cosine >= threshold,
        "first": reports.get("first"),
        "second": reports.get("second"),
        "embedding_dim": vectors["first"].size,
        "weights": faces.model.name,
        "engine": faces.model.engine,
    }


def _vector(side: Side, label: str) -> Vector:
    if isinstance(side.vector, list):
        vector = np.array(side.vector, np.float64)
    else:
        raw = decode_base64(side.vector or "", label, 4 * MAX_DIMENSIONS)
        if len(raw) % 4:
            raise RefusedError(f"{label} is not little-endian float32: {len(raw)} bytes")
        vector = np.frombuffer(raw, "<f4").astype(np.float64)
    largest = float(np.abs(vector).max(initial=0))
    if not (np.isfinite(largest) and largest > 0):
        raise RefusedError(f"{label} has no direction: it is zero or not finite")
    return vector / largest  # squares of huge numbers would not be finite


def _check_dimensions(vector: Vector, name: str, wanted: int | None) -> None:
    if wanted is None:
        raise UnavailableError("The face model is not ready yet")
    if vector.size != wanted:
        raise RefusedError(
            f"The {name} vector has {vector.size} numbers: those of this server's embedder have "
            f"{wanted}"
        )


def _cosine(first: Vector, second: Vector) -> float:
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.clip(first @ second / lengths, -1, 1))
