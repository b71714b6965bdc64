"""Adds the statistics of several Tritons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

NAMES = ("batch_size", "type", "id")  # of the items of `batch_stats` and `memory_usage`
LATEST = ("last_inference",)  # times, of which the latest counts


def added(servers: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one list of models with all counters summed.

    Args:
        servers: what :meth:`TritonPort.statistics` returns, of each; 64-bit integers are strings.
    """
    total: dict[tuple[str, str], dict[str, Any]] = {}
    for models in servers:
        for model in models:
            key = (str(model.get("name")), str(model.get("version")))
            total[key] = _both(total[key], model) if key in total else model
    return list(total.values())


def _both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        merged[key] = _sum(key, first[key], value) if key in first else value
    return merged


def _sum(key: str, first: Any, second: Any) -> Any:
    if key in ("name", "version", *NAMES):
        return first
    if isinstance(first, dict):
        return _both(first, second)
    if isinstance(first, list):
        items = {_names(item): item for item in first}
        for item in second:
            name = _names(item)
            items[name] = _both(items[name], item) if name in items else item
        return list(items.values())
    if isinstance(first, str):
        values = int(first), int(second)
        return str(max(values) if key in LATEST else sum(values))
    return first + second


def _names(item: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Which batch size, or which memory, an item of a list is about."""
    return tuple((key, item[key]) for key in NAMES if key in item)
