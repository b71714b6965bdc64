"""The RPCs beside InferBatch: what is configured, what is loaded, load, unload, health."""

from __future__ import annotations

import time
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from gateway.services.lipsync.grpc import inference_pb2 as pb
from gateway.services.lipsync.grpc.endpoint import Call, NotLoadedStatusError, Reply
from gateway.services.lipsync.grpc.validation import MAX_ID, id_problem
from gateway.services.lipsync.grpc.wire import MalformedError
from gateway.services.lipsync.tenants.catalogue import UnknownTenantError
from gateway.services.lipsync.tenants.device import NotLoadedError, TenantLoadError
from gateway.services.lipsync.tenants.pool import TenantPool
from gateway.services.lipsync.tenants.views import TenantRow
from gateway.settings.lipsync import CapacitySettings

VERSION = "1.0.0"
"""Of the interface; the replaced server's clients log it."""
_M = TypeVar("_M", bound=Message)


class Control:
    """ListModels, LoadModel, UnloadModel, GetModelStats and Health over a pool of tenants."""

    def __init__(self, pool: TenantPool, capacity: CapacitySettings) -> None:
        self._pool = pool
        self._capacity = capacity

    async def list_models(self, call: Call) -> Reply:
        """Every configured tenant."""
        await _read(call, pb.ListModelsRequest())
        models = [_info(row) for row in self._pool.rows()]
        return _reply(pb.ListModelsResponse(models=models))

    async def load_model(self, call: Call) -> Reply:
        """Make a tenant resident, with ``force_reload`` from its file as it is now."""
        request = await _read(call, pb.LoadModelRequest())
        begin = time.perf_counter()
        try:
            if problem := id_problem(request.model_id):
                return _reply(pb.LoadModelResponse(error=problem), 400, problem)
            outcome = await self._pool.load(request.model_id, request.force_reload)
        except UnknownTenantError as error:
            status, cause = error.status, f"model '{request.model_id}' not configured"
        except TenantLoadError as error:
            status, cause = error.status, error.cause
        else:
            response = pb.LoadModelResponse(
                success=True, load_time_ms=outcome.load_ms, stats=_stats(outcome.row)
            )
            return _reply(response)
        words = f"Failed to load model: {cause}"
        spent = (time.perf_counter() - begin) * 1000
        return _reply(pb.LoadModelResponse(error=words, load_time_ms=spent), status, words)

    async def unload_model(self, call: Call) -> Reply:
        """Take a tenant out of all devices once its running calls are finished."""
        request = await _read(call, pb.UnloadModelRequest())
        if problem := id_problem(request.model_id):
            return _reply(pb.UnloadModelResponse(error=problem), 400, problem)
        try:
            await self._pool.unload(request.model_id)
        except NotLoadedError as error:
            words = f"Failed to unload model: {error.words}"
            return _reply(pb.UnloadModelResponse(error=words), error.status, words)
        return _reply(pb.UnloadModelResponse(success=True))

    async def get_model_stats(self, call: Call) -> Reply:
        """Statistics of one loaded tenant, or of all.

        Raises:
            NotLoadedStatusError: the one that is asked for is not loaded.
        """
        request = await _read(call, pb.GetModelStatsRequest())
        loaded = [row for row in self._pool.rows() if _loaded(row)]
        shown = [row for row in loaded if not request.model_id or row.id == request.model_id]
        if request.model_id and not shown:
            name = request.model_id[:MAX_ID]
            raise NotLoadedStatusError(f"model '{name}' not loaded")
        return _reply(
            pb.GetModelStatsResponse(
                models=[_info(row) for row in shown],
                max_models=self._capacity.max_models,
                loaded_models=sum(device.resident for device in self._pool.device_rows()),
                total_memory_bytes=sum(row.memory_bytes for row in loaded),
                max_memory_bytes=round(self._capacity.max_memory_gb * 2**30),
            )
        )

    async def health(self, call: Call) -> Reply:
        """Whether any device computes, and how the devices are."""
        await _read(call, pb.HealthRequest())
        devices = self._pool.device_rows()
        return _reply(
            pb.HealthResponse(
                healthy=any(device.healthy for device in devices),
                cuda_available=any(device.cuda for device in devices),
                loaded_models=sum(device.resident for device in devices),
                max_models=self._capacity.max_models,
                gpu_count=len(devices),
                version=VERSION,
                gpus=[
                    pb.GPUInfo(
                        gpu_id=device.device,
                        name=device.name,
                        total_memory_bytes=device.memory_total_bytes,
                        used_memory_bytes=device.memory_used_bytes,
                        loaded_models=device.resident,
                    )
                    for device in devices
                ],
            )
        )


async def _read(call: Call, message: _M) -> _M:
    try:
        message.ParseFromString(await call.read())
    except DecodeError:
        raise MalformedError("not a protobuf message") from None
    return message


def _reply(message: Message, status: int = 200, detail: str | None = None) -> Reply:
    return Reply(message.SerializeToString(), status, detail)


def _loaded(row: TenantRow) -> bool:
    return row.state == "resident"


def _info(row: TenantRow) -> pb.ModelInfo:
    return pb.ModelInfo(
        model_id=row.id,
        loaded=_loaded(row),
        model_path=row.path,
        stats=_stats(row) if _loaded(row) else None,
        gpu_id=row.device or 0,
    )


def _stats(row: TenantRow) -> pb.ModelStats:
    return pb.ModelStats(
        usage_count=row.usage_count,
        last_used_unix_ms=_milliseconds(row.last_used),
        total_inference_time_ms=row.inference_ms_total,
        memory_bytes=row.memory_bytes,
        loaded_unix_ms=_milliseconds(row.loaded),
    )


def _milliseconds(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1000)
