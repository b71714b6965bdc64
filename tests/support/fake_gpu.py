"""Doubles of NVML and of DCGM's Python bindings: the names, units and errors of the real ones.

They stand where the driver does, which no test machine has; everything above is the real code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

from gateway.telemetry.gpu.dcgm import Bindings


@dataclass
class FakeGpu:
    """One device in NVML's units; ``errors`` maps a function's name to the code it fails with."""

    name: str | bytes = "NVIDIA A10"
    uuid: str = "GPU-a"
    gpu: int = 37
    memory: int = 12
    total: int = 24 * 2**30
    used: int = 3 * 2**30
    milliwatts: int = 123_456
    limit_milliwatts: int = 150_000
    celsius: int = 61
    errors: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """Behaves like the module ``pynvml``.

    Attributes:
        gpus: the machine's devices.
        down: what ``nvmlInit`` and every call fail with while the driver is away.
        opened: initialisations that were not shut down.
        inits: initialisations ever.
    """

    NVMLError = pynvml.NVMLError
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)
        self.down: int | None = None
        self.opened = 0
        self.inits = 0

    def nvmlInit(self) -> None:
        if self.down is not None:
            raise pynvml.NVMLError(self.down)
        self.opened += 1
        self.inits += 1

    def nvmlShutdown(self) -> None:
        if not self.opened:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        self.opened -= 1
        if self.down is not None:
            raise pynvml.NVMLError(self.down)

    def _call(self, function: str, gpu: FakeGpu | None = None) -> None:
        if self.down is not None:
            raise pynvml.NVMLError(self.down)
        if not self.opened:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if gpu and function in gpu.errors:
            raise pynvml.NVMLError(gpu.errors[function])

    def nvmlDeviceGetCount(self) -> int:
        self._call("nvmlDeviceGetCount")
        return len(self.gpus)

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        self._call("nvmlSystemGetCudaDriverVersion_v2")
        return 12060

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        if index >= len(self.gpus):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        self._call("nvmlDeviceGetHandleByIndex", self.gpus[index])
        return self.gpus[index]

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str | bytes:
        self._call("nvmlDeviceGetName", gpu)
        return gpu.name

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:
        self._call("nvmlDeviceGetUUID", gpu)
        return gpu.uuid

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> Any:
        self._call("nvmlDeviceGetUtilizationRates", gpu)
        return SimpleNamespace(gpu=gpu.gpu, memory=gpu.memory)

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu) -> Any:
        self._call("nvmlDeviceGetMemoryInfo", gpu)
        return SimpleNamespace(total=gpu.total, used=gpu.used, free=gpu.total - gpu.used)

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        self._call("nvmlDeviceGetPowerUsage", gpu)
        return gpu.milliwatts

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: FakeGpu) -> int:
        self._call("nvmlDeviceGetEnforcedPowerLimit", gpu)
        return gpu.limit_milliwatts

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, sensor: int) -> int:
        assert sensor == self.NVML_TEMPERATURE_GPU
        self._call("nvmlDeviceGetTemperature", gpu)
        return gpu.celsius


class DCGMError(Exception):
    """As ``dcgm_structs.DCGMError``."""


class FakeDcgm:
    """Behaves like DCGM's Python modules around one host engine.

    Attributes:
        values: per GPU id, per field number: a number, a UUID, or None for an error status.
        installed: whether the bindings can be imported.
        running: whether the host engine answers.
        handles: connections made: address of each.
        opened: connections not shut down.
    """

    def __init__(self, values: dict[int, dict[int, float | str | None]]) -> None:
        self.values = values
        self.installed = True
        self.running = True
        self.handles: list[str | None] = []
        self.opened = 0
        self.asked: list[int] = []

    def load(self) -> Bindings:
        """Return the modules, as importing them does."""
        if not self.installed:
            raise ModuleNotFoundError("pydcgm")
        structs = SimpleNamespace(
            DCGMError=DCGMError,
            DCGM_OPERATION_MODE_AUTO=1,
            DCGM_ST_OK=0,
            DCGM_FV_FLAG_LIVE_DATA=1,
            c_dcgmGroupEntityPair_t=lambda group, entity: (group, entity),
        )
        agent = SimpleNamespace(
            dcgmGetAllSupportedDevices=self._devices, dcgmEntitiesGetLatestValues=self._latest
        )
        return Bindings(
            SimpleNamespace(DcgmHandle=self._connect),
            agent,
            structs,
            SimpleNamespace(DCGM_FE_GPU=1),
        )

    def _require(self) -> None:
        if not self.running:
            raise DCGMError

    def _connect(self, *, ipAddress: str | None, opMode: int) -> Any:
        self._require()
        assert opMode == 1
        self.handles.append(ipAddress)
        self.opened += 1

        def shutdown() -> None:
            self.opened -= 1
            self._require()

        return SimpleNamespace(handle=object(), Shutdown=shutdown)

    def _devices(self, handle: object) -> list[int]:
        self._require()
        return list(self.values)

    def _latest(
        self, handle: object, entities: list[tuple[int, int]], fields: list[int], flags: int
    ) -> Iterator[Any]:
        self._require()
        assert flags == 1
        self.asked = fields
        for group, entity in entities:
            assert group == 1
            for number in fields:
                yield _field_value(entity, number, self.values[entity].get(number))


def _field_value(entity: int, number: int, value: float | str | None) -> Any:
    kind = {int: "i", float: "d", str: "s"}.get(type(value), "i")
    stored = {"i": "i64", "d": "dbl", "s": "str"}[kind]
    return SimpleNamespace(
        entityId=entity,
        fieldId=number,
        fieldType=ord(kind),
        status=0 if value is not None else -1,
        value=SimpleNamespace(**{stored: value.encode() if isinstance(value, str) else value}),
    )
