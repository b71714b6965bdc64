"""GPU figures that Triton measures itself, from its Prometheus endpoint.

A gateway in a container has no driver; its Triton has. Names and units of the figures are those of
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html.
Triton tells neither the names of its GPUs nor their numbers: they are called by the beginning of
their UUID, and numbered in the order of the UUIDs.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pynvml
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.gpu.nvml import MIB, NOT_REPORTED, text
from gateway.telemetry.gpu.sample import FIGURES, GpuSample, Reading, SourceLostError, SourceName
from gateway.visible_cards import shown_places

TIMEOUT = 1.0  # seconds; Triton answers from memory
LARGEST = 16 * MIB  # bytes of an answer that are read
FORGET_SECONDS = 240.0
"""After which a GPU that no Triton tells of any more has left, as with its pod."""
NAME_LENGTH = len("GPU-00000000")
# Triton's metric -> figure of a sample, factor to its unit.
GAUGES = {
    "nv_gpu_utilization": ("gpu_util", 100.0),
    "nv_gpu_memory_used_bytes": ("memory_used_mb", 1 / MIB),
    "nv_gpu_memory_total_bytes": ("memory_total_mb", 1 / MIB),
    "nv_gpu_power_usage": ("power_w", 1.0),
    "nv_gpu_power_limit": ("power_limit_w", 1.0),
}
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Gpu:
    """One device; memory in MiB, ``None`` where unknown."""

    name: str
    total_mb: int | None
    used_mb: int | None
    cuda_version: str | None


def read_nvml(index: int, nvml: Any = pynvml, visible: str | None = None) -> Gpu | None:
    """Return CUDA's device ``index`` of this machine, or None without driver or device.

    Args:
        index: the number that CUDA gives it.
        nvml: the module ``pynvml``, or what behaves like it.
        visible: ``CUDA_VISIBLE_DEVICES``; None: as it is set.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        gpus = list(map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount())))
        uuids = [text(nvml.nvmlDeviceGetUUID(gpu)) for gpu in gpus]
        handle = gpus[shown_places(len(gpus), uuids.__getitem__, visible)[index]]
        name = text(nvml.nvmlDeviceGetName(handle))
        version = nvml.nvmlSystemGetCudaDriverVersion_v2()
        total, used = _memory(nvml, handle)
    except (nvml.NVMLError, IndexError):
        return None
    finally:
        nvml.nvmlShutdown()
    return Gpu(name, total, used, f"{version // 1000}.{version % 1000 // 10}")


def _memory(nvml: Any, handle: Any) -> tuple[int | None, int | None]:
    """Total and used MiB; None of a card that has no memory of its own, such as GB10."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        if error.value not in NOT_REPORTED:
            raise
        return None, None
    return round(memory.total / MIB), round(memory.used / MIB)


def read_triton(metrics: str, index: int) -> Gpu | None:
    """Return device ``index`` from the text of Triton's metrics endpoint, or None."""
    devices = [card for _, card in sorted(figures(metrics).items())]
    if index >= len(devices):
        return None
    card = devices[index]
    return Gpu(
        name="cuda",
        total_mb=_whole(card.get("memory_total_mb")),
        used_mb=_whole(card.get("memory_used_mb")),
        cuda_version=None,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


class TritonSource:
    """Reads the GPUs of every Triton behind the given addresses.

    Args:
        urls: of metrics endpoints, ``http``; of a name with several addresses, such as a headless
            service in Kubernetes, each is read.
        clock: seconds since the epoch.
        monotonic: seconds.
    """

    name: SourceName = "triton"

    def __init__(
        self,
        urls: Sequence[str],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = urls
        self._clock = clock
        self._monotonic = monotonic
        self._seen: dict[str, float] = {}  # by UUID, in the order of their numbers

    def read(self) -> list[Reading]:
        """Return one reading per GPU (see :class:`GpuSource`)."""
        cards: dict[str, Figures] = {}
        for page in texts(self._urls):
            cards |= figures(page)
        if not cards:
            raise SourceLostError
        now, taken = self._monotonic(), self._clock()
        seen = self._seen | dict.fromkeys(sorted(cards), now)
        self._seen = {uuid: last for uuid, last in seen.items() if now - last < FORGET_SECONDS}
        samples = {uuid: _sample(card, taken) for uuid, card in cards.items()}
        return [Reading(uuid[:NAME_LENGTH], uuid, samples.get(uuid)) for uuid in self._seen]

    def close(self) -> None:
        """Nothing is open."""


def texts(urls: Sequence[str]) -> Iterator[str]:
    """Yield what each of these metrics endpoints answers; blocks. One that does not is left out."""
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            continue
        for address in _addresses(parts.hostname, parts.port or http.client.HTTP_PORT):
            with contextlib.suppress(OSError, http.client.HTTPException):
                yield _get(address, parts.netloc, parts.path or "/")


def figures(text: str) -> dict[str, Figures]:
    """Return the figures of a metrics endpoint by UUID.

    Where the driver tells none, Triton (metrics.cc of its core) sets the gauge to 0: a memory or a
    power limit of 0 counts as not reported, and a card that has nothing but zeros as one that
    cannot be read.
    """
    lines = (line for line in text.splitlines() if "nv_gpu_" in line)
    cards: dict[str, Figures] = {}
    with contextlib.suppress(ValueError):  # no text of Prometheus, from there on
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                if sample.name in GAUGES and (uuid := sample.labels.get("gpu_uuid")):
                    figure, factor = GAUGES[sample.name]
                    known = math.isfinite(sample.value)
                    cards.setdefault(uuid, {})[figure] = sample.value * factor if known else None
    return {uuid: _without_zeros(card) for uuid, card in cards.items()}


def _without_zeros(card: Figures) -> Figures:
    for whole, part in (("memory_total_mb", "memory_used_mb"), ("power_limit_w", "power_w")):
        if not card.get(whole):
            card[whole] = None
            card[part] = card.get(part) or None
    return card if any(card.values()) else {}


def _sample(card: Figures, taken: float) -> GpuSample | None:
    sample = GpuSample(**{figure: card.get(figure) for figure in FIGURES}, timestamp=taken)
    return None if sample.empty else sample


def _addresses(host: str, port: int) -> list[tuple[str, int]]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({(str(entry[4][0]), port) for entry in entries})


def _get(address: tuple[str, int], host: str, path: str) -> str:
    """Return the text of one endpoint.

    Raises:
        OSError: nobody answers.
        HTTPException: the answer is none.
    """
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": host})
        reply = connection.getresponse()
        if reply.status != http.client.OK:
            raise http.client.HTTPException(reply.status)
        return reply.read(LARGEST).decode(errors="replace")
    finally:
        connection.close()
