"""GPU figures from NVIDIA's Data Center GPU Manager, through its own Python bindings.

The bindings are files that DCGM installs, in version 4 below
``/usr/share/datacenter-gpu-manager-4/bindings/python3``; they are found when that folder is on
``PYTHONPATH``. Field numbers and units:
https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.telemetry.gpu.sample import GpuSample, Reading, SourceLostError, SourceName
from gateway.visible_cards import shown_places

# Field number -> figure it can stand for. Of several for one figure the first is the default.
# Power is in watts already and memory in MiB.
FIELDS = {
    203: "gpu_util",  # DCGM_FI_DEV_GPU_UTIL
    204: "mem_util",  # DCGM_FI_DEV_MEM_COPY_UTIL
    252: "memory_used_mb",  # DCGM_FI_DEV_FB_USED
    250: "memory_total_mb",  # DCGM_FI_DEV_FB_TOTAL
    155: "power_w",  # DCGM_FI_DEV_POWER_USAGE
    157: "power_w",  # DCGM_FI_DEV_POWER_USAGE_INSTANT
    164: "power_limit_w",  # DCGM_FI_DEV_ENFORCED_POWER_LIMIT
    160: "power_limit_w",  # DCGM_FI_DEV_POWER_MGMT_LIMIT
    150: "temperature_c",  # DCGM_FI_DEV_GPU_TEMP
}
UUID = 54  # DCGM_FI_DEV_UUID
# dcgmvalue.py of the bindings: this value and those just above it mean "no value".
BLANK_INTEGER = 0x7FFFFFFFFFFFFFF0
BLANK_DOUBLE = 2.0**47
BLANK_TEXT = "<<<"
INTEGER, DOUBLE = ord("i"), ord("d")  # DCGM_FT_INT64, DCGM_FT_DOUBLE


@dataclass(frozen=True)
class Bindings:
    """The modules of DCGM's bindings that are used."""

    pydcgm: Any
    agent: Any
    structs: Any
    fields: Any


def import_bindings() -> Bindings:
    """Return DCGM's Python modules.

    Raises:
        ImportError: they are not installed.
    """
    names = ("pydcgm", "dcgm_agent", "dcgm_structs", "dcgm_fields")
    return Bindings(*(importlib.import_module(name) for name in names))


def chosen_fields(wanted: Iterable[int]) -> dict[int, str]:
    """Return the field to read for every figure.

    Args:
        wanted: field numbers to prefer; those that stand for no figure change nothing.
    """
    by_figure: dict[str, int] = {}
    for field, figure in FIELDS.items():
        by_figure.setdefault(figure, field)
    for field in wanted:
        if field in FIELDS:
            by_figure[FIELDS[field]] = field
    return {field: figure for figure, field in by_figure.items()}


class DcgmSource:
    """Reads every GPU that DCGM supports, live rather than from its cache.

    Args:
        address: ``host:port`` of a running host engine; none starts one inside this process.
        field_ids: fields to prefer (see :func:`chosen_fields`).
        clock: seconds since the epoch.
        visible: ``CUDA_VISIBLE_DEVICES``; None: as it is set. Without meaning for a host engine at
            an address, which may be another machine's.
    """

    name: SourceName = "dcgm"

    def __init__(
        self,
        address: str | None = None,
        field_ids: Iterable[int] = (),
        load: Callable[[], Bindings] = import_bindings,
        clock: Callable[[], float] = time.time,
        visible: str | None = None,
    ) -> None:
        self._address = address
        self._visible = visible
        self._fields = chosen_fields(field_ids)
        self._load = load
        self._clock = clock
        self._bindings: Bindings | None = None
        self._handle: Any = None

    def read(self) -> list[Reading]:
        """Return one reading per GPU (see :class:`GpuSource`)."""
        try:
            self._bindings = dcgm = self._bindings or self._load()
        except (ImportError, OSError):  # OSError: the bindings load a library that is not there
            raise SourceLostError from None
        try:
            if self._handle is None:
                self._handle = dcgm.pydcgm.DcgmHandle(
                    ipAddress=self._address, opMode=dcgm.structs.DCGM_OPERATION_MODE_AUTO
                )
            readings = self._readings(dcgm)
        except dcgm.structs.DCGMError:
            self.close()
            raise SourceLostError from None
        if all(reading.sample is None for reading in readings):
            self.close()
            raise SourceLostError
        return readings

    def close(self) -> None:
        """Disconnect from the host engine, or stop the one inside this process."""
        handle, self._handle = self._handle, None
        if handle is not None and self._bindings is not None:
            with contextlib.suppress(self._bindings.structs.DCGMError):
                handle.Shutdown()

    def _readings(self, dcgm: Bindings) -> list[Reading]:
        handle = self._handle.handle
        gpus = dcgm.agent.dcgmGetAllSupportedDevices(handle)
        if not gpus:
            return []
        pair = dcgm.structs.c_dcgmGroupEntityPair_t
        values = dcgm.agent.dcgmEntitiesGetLatestValues(
            handle,
            [pair(dcgm.fields.DCGM_FE_GPU, gpu) for gpu in gpus],
            [*self._fields, UUID],
            dcgm.structs.DCGM_FV_FLAG_LIVE_DATA,
        )
        now = self._clock()
        figures: dict[int, dict[str, float | None]] = {}
        identities: dict[int, str | None] = {}
        for value in values:
            good = value.status == dcgm.structs.DCGM_ST_OK
            if value.fieldId == UUID:
                identities[value.entityId] = _text(value) if good else None
            else:
                figure = self._fields[value.fieldId]
                figures.setdefault(value.entityId, {})[figure] = _number(value) if good else None
        readings = []
        for gpu in gpus:
            sample = GpuSample(**figures[gpu], timestamp=now)
            shown = None if sample.empty else sample
            readings.append(Reading(f"GPU {gpu}", identities[gpu], shown))
        return readings if self._address else self._of_cuda(readings)

    def _of_cuda(self, readings: list[Reading]) -> list[Reading]:
        places = shown_places(
            len(readings), lambda place: readings[place].identity or "", self._visible
        )
        return [readings[place] for place in places]


def _number(value: Any) -> float | None:
    if value.fieldType == DOUBLE:
        return None if value.value.dbl >= BLANK_DOUBLE else float(value.value.dbl)
    if value.fieldType == INTEGER:
        return None if value.value.i64 >= BLANK_INTEGER else float(value.value.i64)
    return None


def _text(value: Any) -> str | None:
    text: str = value.value.str.decode(errors="replace")
    return None if text.startswith(BLANK_TEXT) else text
