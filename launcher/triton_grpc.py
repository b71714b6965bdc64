"""The few calls of Triton's gRPC API that the launcher makes itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from launcher.errors import LauncherError
from launcher.options import ServerOptions, Tls

CALL_SECONDS = 60.0
LIVE_SECONDS = 2.0


class Triton:
    """A connection to one Triton.

    Args:
        options: How it was started.
    """

    def __init__(self, options: ServerOptions) -> None:
        # A fresh connection each time: the server may have been started again at its address.
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        if options.tls is not None and options.grpc_port is not None:
            named = ("grpc.ssl_target_name_override", options.tls.server_name)
            self._channel = grpc.secure_channel(options.address, _proof(options.tls), [*own, named])
        else:
            self._channel = grpc.insecure_channel(options.address, own)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def live(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._stub.ServerLive(pb.ServerLiveRequest(), timeout=LIVE_SECONDS).live)
        except grpc.RpcError:
            return False

    def load(self, model: str) -> None:
        """Load a model.

        Raises:
            LauncherError: No answer, or an error.
        """
        self._call(self._stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(model_name=model))

    def unload(self, model: str) -> None:
        """Unloads a model.

        Raises:
            LauncherError: No answer, or an error.
        """
        request = pb.RepositoryModelUnloadRequest(model_name=model)
        self._call(self._stub.RepositoryModelUnload, request)

    def infer(self, model: str, datatype: str, data: bytes, shape: tuple[int, ...]) -> bytes:
        """Send one tensor INPUT and return the bytes of the only output.

        Raises:
            LauncherError: No answer, an error, or no output.
        """
        request = pb.ModelInferRequest(model_name=model, raw_input_contents=[data])
        request.inputs.add(name="INPUT", datatype=datatype, shape=shape)
        outputs = self._call(self._stub.ModelInfer, request).raw_output_contents
        if len(outputs) != 1:
            raise LauncherError(f"{model} answered with {len(outputs)} tensors")
        return bytes(outputs[0])

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise LauncherError(f"Triton answered {error.code().name}: {error.details()}") from None


@contextlib.contextmanager
def connected(options: ServerOptions) -> Iterator[Triton]:
    """Return a connection that is closed when the block ends.

    Raises:
        LauncherError: A certificate cannot be read.
    """
    triton = Triton(options)
    try:
        yield triton
    finally:
        triton.close()


def _proof(tls: Tls) -> grpc.ChannelCredentials:
    try:
        ca, key, certificate = (
            file.read_bytes() for file in (tls.ca_file, tls.key_file, tls.certificate_file)
        )
    except OSError as error:
        raise LauncherError(f"triton.tls_*_file: {error.strerror}") from None
    return grpc.ssl_channel_credentials(ca, key, certificate)
