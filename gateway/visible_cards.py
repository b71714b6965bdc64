"""The GPUs that CUDA shows to a process, in its order: ``CUDA_VISIBLE_DEVICES`` read as CUDA does.

NVML, which is asked for them, lists every GPU by its PCI bus id and knows nothing of the variable.
CUDA counts alike only with ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` (by default the fastest comes first),
which every process of Pentad is started with.

Rules: https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables and, for
repeated and partial entries, ``torch.cuda``'s reading of the same variable, which a test compares.
MIG: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ ("CUDA Device Enumeration").
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import Any

IN_BUS_ORDER: Mapping[str, str] = MappingProxyType({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
"""What must be in the environment of every process that uses CUDA, so that a number names the same
card to CUDA, NVML, Triton's configurations and Pentad's."""
_LEADING_NUMBER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Card:
    """A GPU, or a MIG instance of one, as CUDA would use it.

    Attributes:
        handle: NVML's of what is used.
        gpu: NVML's of the whole GPU; the same where it is not divided.
    """

    handle: Any
    gpu: Any


def count_in_bus_order() -> None:
    """Let this process and its children count GPUs as NVML does; call it before CUDA is used."""
    os.environ.update(IN_BUS_ORDER)


def cards(nvml: Any, visible: str | None = None) -> list[Card]:
    """Return the cards that CUDA shows, in its order.

    Args:
        nvml: the module ``pynvml``, initialised, or what behaves like it.
        visible: ``CUDA_VISIBLE_DEVICES``; None: as it is set for this process.

    Raises:
        nvml.NVMLError: the driver does not answer.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    gpus = list(map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount())))
    if visible is not None and visible.startswith("MIG-"):
        every = [instance for gpu in gpus for instance in _instances(nvml, gpu)]
        uuids = [_uuid(nvml, instance.handle) for instance in every]
        return [every[place] for place in chosen(visible, uuids)][:1]
    uuids = [_uuid(nvml, gpu) for gpu in gpus]
    places = range(len(gpus)) if visible is None else chosen(visible, uuids)
    shown = [gpus[place] for place in places]
    # CUDA uses one MIG instance at most, and no whole GPU beside it.
    instances = [instance for gpu in shown for instance in _instances(nvml, gpu)]
    return instances[:1] or [Card(gpu, gpu) for gpu in shown]


def chosen(visible: str, uuids: Sequence[str]) -> list[int]:
    """Return the places of the devices that ``visible`` lists, in its order.

    Args:
        visible: a value of ``CUDA_VISIBLE_DEVICES``: numbers, or UUIDs or their beginnings.
        uuids: of all devices, in the order of the bus.

    The first entry that names none, or more than one, ends the list; one that comes twice leaves
    none at all.
    """
    entries = visible.split(",")
    kind = next((prefix for prefix in ("GPU-", "MIG-") if visible.startswith(prefix)), None)
    if kind is not None:
        entries = list(takewhile(lambda entry: entry.startswith(kind), entries))
        numbers = [_by_uuid(entry, uuids) for entry in entries]
    else:
        numbers = [_number(entry) for entry in entries]
    valid = list(takewhile(lambda number: number >= 0, numbers))
    if len(set(valid)) < len(valid) or (kind and len(set(entries)) < len(entries)):
        return []
    return list(takewhile(lambda number: number < len(uuids), valid))


def _by_uuid(beginning: str, uuids: Sequence[str]) -> int:
    matching = [place for place, uuid in enumerate(uuids) if uuid.startswith(beginning)]
    return matching[0] if len(matching) == 1 else -1


def _number(entry: str) -> int:
    """Return the number that an entry begins with, as C's ``strtoul`` reads it; -1 without one."""
    match = _LEADING_NUMBER.match(entry.strip())
    return int(match[0]) if match else -1


def _instances(nvml: Any, gpu: Any) -> list[Card]:
    """MIG instances of a GPU; none where it is not divided, or cannot be."""
    try:
        if nvml.nvmlDeviceGetMigMode(gpu)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    except nvml.NVMLError:  # not a GPU that can be divided, or a driver without MIG
        return []
    cards = []
    for place in range(most):
        try:
            cards.append(Card(nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place), gpu))
        except nvml.NVMLError:  # places are numbered with gaps
            continue
    return cards


def _uuid(nvml: Any, handle: Any) -> str:
    uuid = nvml.nvmlDeviceGetUUID(handle)
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


def shown_places(count: int, uuid: Callable[[int], str], visible: str | None = None) -> list[int]:
    """Return the places of the GPUs that CUDA shows, by the number that CUDA gives them.

    Where it shows instances of a GPU in MIG mode, which have no figures of their own, every GPU is
    returned, theirs among them.

    Args:
        count: how many GPUs there are, in the order of the bus.
        uuid: returns that of one of them.
        visible: value of ``CUDA_VISIBLE_DEVICES``; None: as it is set.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    if visible is None or visible.startswith("MIG-"):
        return list(range(count))
    return chosen(visible, [uuid(place) for place in range(count)])
