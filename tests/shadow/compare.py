"""What differs between two answers: shape (status, fields, types, lengths) or only values."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

VOLATILE = re.compile(
    r"(^|[._])(timestamp|started_at|processing_time_ms|inference_ms|latency_ms|throughput_fps"
    r"|inference_time_ms|id|git_commit|node_id|job_id)$"
)
"""Fields whose values differ between any two calls; their shape is still compared."""
VECTOR_BYTES = 64  # base64 of at least so many bytes of float32 counts as a vector


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        kind: ``shape`` breaks clients, ``value`` may be another model's.
        path: where, e.g. ``embeddings[0][3]``; empty for the whole answer.
        words: what.
    """

    kind: str
    path: str
    words: str


@dataclass(frozen=True)
class Rules:
    """How equal values must be.

    Attributes:
        absolute: largest difference of two numbers.
        relative: the same relative to the larger one; one of both suffices.
        ignored: fields (their paths without indices) whose values do not matter.
    """

    absolute: float = 1e-4
    relative: float = 1e-3
    ignored: tuple[str, ...] = ()


def differences(old: httpx.Response, new: httpx.Response, rules: Rules) -> list[Difference]:
    """Return what a client would notice; fields that only the new server has are no difference."""
    if old.status_code != new.status_code:
        return [Difference("shape", "", f"status {old.status_code} became {new.status_code}")]
    kinds = [one.headers.get("content-type", "").partition(";")[0] for one in (old, new)]
    if kinds[0] != kinds[1]:
        return [Difference("shape", "", f"content type {kinds[0]!r} became {kinds[1]!r}")]
    if kinds[0] != "application/json":
        same = old.content == new.content
        sizes = f"{len(old.content)} bytes became {len(new.content)}"
        return [] if same else [Difference("value", "", f"other content, {sizes}")]
    bodies = []
    for name, one in (("old", old), ("new", new)):
        try:
            bodies.append(json.loads(one.content))
        except ValueError:
            return [Difference("shape", "", f"the {name} server's answer is no JSON")]
    return list(_compare(*bodies, "", rules))


def tell(request: str, found: Sequence[Difference]) -> str:
    """Print what differs and return the outcome: ``SHAPE``, ``value`` or ``same``."""
    shape = any(one.kind == "shape" for one in found)
    outcome = "SHAPE" if shape else "value" if found else "same"
    print(f"{outcome:5}  {request}")
    for one in found:
        print(f"         {one.kind:5}  {one.path or 'answer'}: {one.words}")
    return outcome


def _compare(old: Any, new: Any, path: str, rules: Rules) -> Iterator[Difference]:
    if _kind(old) != _kind(new):
        yield Difference("shape", path, f"{_kind(old)} became {_kind(new)}")
    elif isinstance(old, dict):
        for key, value in old.items():
            below = f"{path}.{key}" if path else str(key)
            if key in new:
                yield from _compare(value, new[key], below, rules)
            else:
                yield Difference("shape", below, "is missing")
    elif isinstance(old, list):
        if len(old) != len(new):
            yield Difference("shape", path, f"length {len(old)} became {len(new)}")
        elif numbers := _numbers(old, new):
            yield from vector(*numbers, path, rules)
        else:
            for place, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _compare(one, other, f"{path}[{place}]", rules)
    elif not _ignored(path, rules):
        yield from _scalar(old, new, path, rules)


def _scalar(old: Any, new: Any, path: str, rules: Rules) -> Iterator[Difference]:
    if isinstance(old, float | int) and not isinstance(old, bool):
        if not math.isclose(old, new, rel_tol=rules.relative, abs_tol=rules.absolute):
            yield Difference("value", path, f"{old!r} became {new!r}")
    elif isinstance(old, str):
        one, other = _floats(old), _floats(new)
        if one is None or other is None:
            if old != new:
                yield Difference("value", path, f"{old[:40]!r} became {new[:40]!r}")
        elif len(one) != len(other):
            yield Difference("shape", path, f"vector of {len(one)} became {len(other)}")
        else:
            yield from vector(one, other, path, rules)
    elif old != new:
        yield Difference("value", path, f"{old!r} became {new!r}")


def vector(
    one: Sequence[float], other: Sequence[float], path: str, rules: Rules
) -> Iterator[Difference]:
    """Yield one line for two vectors of one length, instead of one for each number."""
    if _ignored(path, rules):
        return
    old, new = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if np.allclose(new, old, rtol=rules.relative, atol=rules.absolute, equal_nan=True):
        return
    norm = float(np.linalg.norm(old) * np.linalg.norm(new))
    cosine = f"{float(old @ new) / norm:.6f}" if norm else "none"
    largest = float(np.max(np.abs(old - new)))
    yield Difference("value", path, f"largest difference {largest:.3g}, cosine {cosine}")


def _numbers(old: list[Any], new: list[Any]) -> tuple[list[float], list[float]] | None:
    if old and all(_kind(one) == "number" for one in (*old, *new)):
        return old, new
    return None


def _floats(text: str) -> list[float] | None:
    """Return the float32 values of a base64 string, None where it is something else."""
    if len(text) * 3 // 4 < VECTOR_BYTES:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) % 4:
        return None
    values = np.frombuffer(raw, "<f4")
    sane = np.isfinite(values).all() and np.abs(values).max() <= 1e3
    return [float(value) for value in values] if sane else None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "text", list: "list", dict: "object"}[type(value)]


def _ignored(path: str, rules: Rules) -> bool:
    plain = re.sub(r"\[\d+\]", "", path)
    return bool(VOLATILE.search(plain)) or plain in rules.ignored
