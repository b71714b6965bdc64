"""Configurations of models that were loaded, changed so that they run elsewhere or know more.

Triton gives an instance group that names no GPUs instances on each GPU it sees, and only a loaded
model tells which those are. A configuration cannot name them beforehand: a group with ``gpus`` and
without a kind is refused where there is no GPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.model_config import parameters

CARDS = "cards"
"""Parameter of a network: of how many of Triton's GPUs it has instances; 0: of all."""
PLACED = "placed"
"""Parameter that tells of a network that was moved to fewer GPUs, ``1 of 8 GPUs``."""
NETWORKS = "networks"
"""Parameter of a caller: what its networks run on, read by the models' engine_values.py."""


def placed_on(config: dict[str, Any], device: str) -> dict[str, Any]:
    """Return a copy of ``config`` whose instances run on ``device``."""
    count = sum(int(group.get("count", 1)) for group in config.get("instance_group", [])) or 1
    if device == "cpu":
        group: dict[str, Any] = {"kind": "KIND_CPU", "count": count}
    else:
        index = int(device.partition(":")[2] or 0)
        group = {"kind": "KIND_GPU", "count": count, "gpus": [index]}
    return {**config, "instance_group": [group]}


def on_cards(config: dict[str, Any], cards: Sequence[int]) -> dict[str, Any]:
    """Return a copy of ``config`` whose instances run on these GPUs, as many on each as before."""
    groups = [
        group
        if group.get("kind") == "KIND_CPU"
        else {**group, "kind": "KIND_GPU", "gpus": [*cards]}
        for group in config.get("instance_group") or [{}]
    ]
    return {**config, "instance_group": groups}


def on_fewer_cards(config: dict[str, Any]) -> dict[str, Any] | None:
    """Return a copy of a loaded model's configuration on the first of its GPUs.

    How many the model is meant for says its parameter `CARDS`; None where it runs on no more.
    """
    allowed = parameters(config).get(CARDS, "")
    gpus = sorted({gpu for group in config.get("instance_group", []) for gpu in gpus_of(group)})
    if not allowed.isdecimal() or not 0 < int(allowed) < len(gpus):
        return None
    kept = gpus[: int(allowed)]
    return _told(on_cards(config, kept), PLACED, f"{len(kept)} of {len(gpus)} GPUs")


def with_one_process(config: dict[str, Any]) -> dict[str, Any] | None:
    """Return a copy of a loaded network's configuration with one instance on each of its GPUs.

    For the embedded server, whose instances are processes: each has a context of its own on the
    card, and two contexts take turns there instead of overlapping. None where it has no more.
    """
    groups = config.get("instance_group", [])
    if all(int(group.get("count", 1)) == 1 for group in groups if gpus_of(group)):
        return None
    fewer = [{**group, "count": 1} if gpus_of(group) else group for group in groups]
    return _told({**config, "instance_group": fewer}, PLACED, "one process a GPU")


def gpus_of(group: Mapping[str, Any]) -> list[int]:
    """Return the GPUs of an instance group; none where it is no GPU's."""
    return [int(gpu) for gpu in group.get("gpus", [])] if group.get("kind") == "KIND_GPU" else []


def with_networks(
    config: dict[str, Any], facts: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return a copy of a caller's configuration that tells of its networks; None without any."""
    return _told(config, NETWORKS, json.dumps(facts, sort_keys=True)) if facts else None


def was_changed(config: dict[str, Any]) -> bool:
    """Whether a loaded configuration is not the repository's, but what this module made of it."""
    return not {PLACED, NETWORKS}.isdisjoint(config.get("parameters", {}))


def _told(config: dict[str, Any], key: str, text: str) -> dict[str, Any]:
    parameters = {**config.get("parameters", {}), key: {"string_value": text}}
    return {**config, "parameters": parameters}
