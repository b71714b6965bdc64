"""Triton over one asynchronous gRPC channel, with binary tensors, deadlines and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from gateway.errors import DeadlineError, GatewayError
from gateway.large_work import rest, worked
from gateway.settings.triton import TritonSettings
from gateway.triton.channel import open_channel
from gateway.triton.status import (
    LostError,
    ModelDeadError,
    ServerGoneError,
    in_band_error,
    to_gateway_error,
)
from gateway.triton.tensors import Array, PlacedTensor, RegionSpan, Tensor, to_array

# Triton's prefix for the key of a protocol restricted with --grpc-restricted-protocol.
ADMIN_HEADER = "triton-grpc-protocol-triton-admin-key"
SERVICE = "/inference.GRPCInferenceService/"
CONTROL = ""  # in the place of a model's name, for calls that infer nothing
CONTROL_TIMEOUT = 10.0  # seconds for calls that only read state
LOADING_POLL = 0.5  # seconds between two looks at a load that somebody else has begun


class TritonClient:
    """Implements :class:`gateway.triton.port.TritonPort`. Create it inside the running loop."""

    def __init__(
        self, settings: TritonSettings, admin_key: str = "", address: str | None = None
    ) -> None:
        """``address`` is that of the server where ``settings.url`` names several.

        Raises:
            ValueError: a certificate or key cannot be read.
        """
        self._channel = open_channel(settings, address or settings.urls[0])
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._load_timeout = settings.load_timeout
        # Requests come as bytes: large ones are serialised off the loop.
        self._infer = self._channel.unary_unary(
            SERVICE + "ModelInfer", None, pb.ModelInferResponse.FromString
        )
        self._stream = self._channel.stream_stream(
            SERVICE + "ModelStreamInfer",
            None,
            pb.ModelStreamInferResponse.FromString,
        )
        self._admin = ((ADMIN_HEADER, admin_key),) if admin_key else ()
        self._calls: dict[str, set[Any]] = {}
        self._aborted: dict[Any, LostError] = {}

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor | PlacedTensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        placed: Mapping[str, RegionSpan] | None = None,
        tell_timeout: bool = False,
    ) -> dict[str, Array]:
        """See :meth:`TritonPort.infer`."""
        end = time.monotonic() + timeout
        limit = timeout if tell_timeout else None
        message = await worked(_size(inputs), _message, model, inputs, outputs, placed, limit)
        metadata = (*headers.items(), *self._admin) if headers else self._admin
        seconds = max(end - time.monotonic(), 0.001)
        call = self._infer(message, timeout=seconds, metadata=metadata)
        reply = await self._answer(model, call)
        return {
            output.name: to_array(output.datatype, output.shape, data)
            for output, data in zip(reply.outputs, reply.raw_output_contents, strict=True)
            if not placed or output.name not in placed
        }

    async def stream(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[dict[str, Array], None]:
        """See :meth:`TritonPort.stream`."""
        end = time.monotonic() + timeout
        message = await worked(_size(inputs), _message, model, inputs, (), None, timeout)
        # Never with `triton_grpc_error`, which gives errors a status: after some hundred refusals
        # of streams at once Triton 2.51 crashes (tests/triton/tryon/model/test_refusals.py).
        metadata = (*(headers or {}).items(), *self._admin)
        seconds = max(end - time.monotonic(), 0.001)
        call = self._stream(iter((message,)), timeout=seconds, metadata=metadata)
        with self._running(model, call):
            async for reply in call:
                if reply.error_message:
                    raise in_band_error(reply.error_message)
                response = reply.infer_response
                outputs = zip(response.outputs, response.raw_output_contents, strict=True)
                yield {out.name: to_array(out.datatype, out.shape, data) for out, data in outputs}

    def abort(self, model: str) -> None:
        """See :meth:`TritonPort.abort`."""
        self._end(model, ModelDeadError(model))

    def hang_up(self) -> None:
        """End all running calls; they raise ServerGoneError: nobody is at the other end."""
        for model in tuple(self._calls):
            self._end(model, ServerGoneError(ran=True))

    def _end(self, model: str, lost: LostError) -> None:
        for call in tuple(self._calls.get(model, ())):
            self._aborted[call] = lost
            call.cancel()

    async def register_memory(self, name: str, size: int) -> None:
        """See :meth:`TritonPort.register_memory`."""
        request = pb.SystemSharedMemoryRegisterRequest(name=name, key=f"/{name}", byte_size=size)
        await self._control(self._stub.SystemSharedMemoryRegister, request)

    async def unregister_memory(self, name: str) -> None:
        """See :meth:`TritonPort.unregister_memory`."""
        request = pb.SystemSharedMemoryUnregisterRequest(name=name)
        await self._control(self._stub.SystemSharedMemoryUnregister, request)

    async def check_memory(self) -> None:
        """See :meth:`TritonPort.check_memory`."""
        status = self._stub.SystemSharedMemoryStatus
        await self._control(status, pb.SystemSharedMemoryStatusRequest())

    async def live(self, timeout: float = CONTROL_TIMEOUT) -> bool:
        """See :meth:`TritonPort.live`; ``timeout`` is in seconds."""
        try:
            reply = await self._control(self._stub.ServerLive, pb.ServerLiveRequest(), timeout)
        except GatewayError:
            return False
        return bool(reply.live)

    async def lost(self) -> None:
        """See :meth:`TritonPort.lost`."""
        state = self._channel.get_state()
        while True:
            await self._channel.wait_for_state_change(state)
            before, state = state, self._channel.get_state()
            if before is grpc.ChannelConnectivity.READY:
                return

    async def ready_models(self) -> set[str]:
        """See :meth:`TritonPort.ready_models`."""
        index = self._stub.RepositoryIndex
        reply = await self._control(index, pb.RepositoryIndexRequest(ready=True))
        return {model.name for model in reply.models}

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        """See :meth:`TritonPort.load`.

        A load that is asked for while another one of the same model goes on (begun before the last
        deadline, or by a gateway that is gone) is queued by Triton, and then done a second time
        beside the first one's result: two vLLMs on one card (seen with 2.51). So it is waited for.
        """
        deadline = time.monotonic() + self._load_timeout(model)
        waited = await self._loading(model)
        while waited and await self._loading(model):
            if time.monotonic() >= deadline:
                raise DeadlineError
            await asyncio.sleep(LOADING_POLL)
        if waited and config is None and model in await self.ready_models():
            return
        request = pb.RepositoryModelLoadRequest(model_name=model)
        if config is not None:
            request.parameters["config"].string_param = json.dumps(config)
        seconds = max(0.0, deadline - time.monotonic())
        await self._control(self._stub.RepositoryModelLoad, request, seconds)

    async def _loading(self, model: str) -> bool:
        """Whether Triton is loading a model now."""
        reply = await self._control(self._stub.RepositoryIndex, pb.RepositoryIndexRequest())
        return any(row.name == model and row.state == "LOADING" for row in reply.models)

    async def unload(self, model: str) -> None:
        """See :meth:`TritonPort.unload`."""
        request = pb.RepositoryModelUnloadRequest(model_name=model)
        await self._control(self._stub.RepositoryModelUnload, request, self._load_timeout(model))

    async def config(self, model: str) -> dict[str, Any]:
        """See :meth:`TritonPort.config`."""
        reply = await self._control(self._stub.ModelConfig, pb.ModelConfigRequest(name=model))
        return dict(MessageToDict(reply.config, preserving_proto_field_name=True))

    async def statistics(self) -> list[dict[str, Any]]:
        """See :meth:`TritonPort.statistics`."""
        reply = await self._control(self._stub.ModelStatistics, pb.ModelStatisticsRequest())
        config = MessageToDict(reply, preserving_proto_field_name=True)
        return list(config.get("model_stats", []))

    async def server_version(self) -> str:
        """See :meth:`TritonPort.server_version`."""
        reply = await self._control(self._stub.ServerMetadata, pb.ServerMetadataRequest())
        return str(reply.version)

    def connected(self) -> bool:
        """Whether the channel has a connection now."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await self._channel.close(None)

    async def _control(self, method: Any, request: Any, timeout: float = CONTROL_TIMEOUT) -> Any:
        return await self._answer(CONTROL, method(request, timeout=timeout, metadata=self._admin))

    async def _answer(self, key: str, call: Any) -> Any:
        """Wait for a call's one answer; see :meth:`_running`."""
        with self._running(key, call):
            return await call

    @contextlib.contextmanager
    def _running(self, key: str, call: Any) -> Iterator[None]:
        """Know of a call of gRPC while the block waits for it, and end it with the block.

        Args:
            key: the model that is asked, or CONTROL.
            call: begun.

        Raises:
            GatewayError: it fails, or is ended by :meth:`abort` or :meth:`hang_up`.
        """
        running = self._calls.setdefault(key, set())
        running.add(call)
        try:
            yield
        except grpc.RpcError as error:
            raise to_gateway_error(error) from None
        except asyncio.CancelledError:
            if lost := self._aborted.get(call):
                raise lost from None
            raise
        finally:
            call.cancel()
            running.discard(call)
            self._aborted.pop(call, None)


def _size(inputs: Mapping[str, Tensor | PlacedTensor]) -> int:
    return sum(len(tensor.data) for tensor in inputs.values() if isinstance(tensor, Tensor))


def _message(
    model: str,
    inputs: Mapping[str, Tensor | PlacedTensor],
    outputs: Sequence[str],
    placed: Mapping[str, RegionSpan] | None,
    timeout: float | None,
) -> bytes:
    """Return a serialised request.

    Args:
        model: which is asked.
        inputs: by name.
        outputs: names of those that are returned.
        placed: further ones, which Triton writes to shared memory.
        timeout: seconds that the model is told, None where it is not.
    """
    request = pb.ModelInferRequest(model_name=model)
    for name, tensor in inputs.items():
        entry = request.inputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
        if isinstance(tensor, Tensor):
            request.raw_input_contents.append(tensor.data)
        else:
            _place(entry, tensor.place)
    for name in outputs:
        request.outputs.add(name=name)
    for name, place in (placed or {}).items():
        _place(request.outputs.add(name=name), place)
    if timeout is not None:
        request.parameters["timeout"].int64_param = int(timeout * 1e6)
    rest()
    return bytes(request.SerializeToString())


def _place(tensor: Any, place: RegionSpan) -> None:
    """Say that the bytes of an input or output lie in shared memory."""
    tensor.parameters["shared_memory_region"].string_param = place.region
    tensor.parameters["shared_memory_byte_size"].int64_param = place.size
    if place.offset:
        tensor.parameters["shared_memory_offset"].int64_param = place.offset
