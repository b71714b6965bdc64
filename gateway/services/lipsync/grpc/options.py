"""What the gRPC listener is made with: limits, certificates, reflection."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from gateway.settings.lipsync import LipsyncServerSettings, TlsSettings

log = logging.getLogger(__name__)
Option = tuple[str, int]
METADATA_BYTES = 16 * 2**10
"""Metadata of a client; beyond it the call ends with RESOURCE_EXHAUSTED."""
_OWN_METADATA_BYTES = 2 * 2**10  # what gRPC adds: path, user agent, encodings
_STREAMS = 256  # calls of one connection at once; clients keep further ones back
_AGE_SECONDS = 3600  # of a connection, which its client then makes anew
_IDLE_SECONDS = 600  # without a call


def server_options(settings: LipsyncServerSettings) -> list[Option]:
    """Return the channel arguments of the server (names: grpc/impl/channel_arg_names.h)."""
    limit = settings.max_message_size_mb << 20
    return [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", limit),
        ("grpc.keepalive_time_ms", round(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            round(settings.min_ping_interval_seconds * 1000),
        ),
        # By default gRPC refuses what is over 8 KiB at random, and what is over 16 KiB always.
        ("grpc.max_metadata_size", METADATA_BYTES + _OWN_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES + _OWN_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_connection_idle_ms", _IDLE_SECONDS * 1000),
        ("grpc.max_connection_age_ms", _AGE_SECONDS * 1000),
        # Streams that nobody ends, such as those of reflection, end with their connection.
        ("grpc.max_connection_age_grace_ms", round(settings.deadline_seconds * 1000)),
        # A port that another server has is an error, not a second server on it.
        ("grpc.so_reuseport", 0),
    ]


def credentials(settings: TlsSettings) -> grpc.ServerCredentials | None:
    """Return the port's credentials; None where no certificate is configured.

    Raises:
        ValueError: a file cannot be read.
    """
    if settings.certificate is None or settings.key is None:
        return None
    files = _Files(settings.key, settings.certificate, settings.client_ca)
    try:
        first = files.configuration()
    except OSError as error:
        raise ValueError(f"lipsync.server.tls: {error.strerror}") from None
    found: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
        first,
        files.changed,  # type: ignore[arg-type]  # None, which stands for no change, is allowed
        require_client_authentication=settings.client_ca is not None,
    )
    return found


class _Files:
    """Key, certificate chain and, if any, the authorities of client certificates."""

    def __init__(self, key: Path, chain: Path, authorities: Path | None) -> None:
        self._key, self._chain, self._authorities = key, chain, authorities
        self._stamps: list[int] = []

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Read the files.

        Raises:
            OSError: one cannot be read.
        """
        self._stamps = self._read_stamps()
        pair = self._key.read_bytes(), self._chain.read_bytes()
        authorities = self._authorities.read_bytes() if self._authorities else None
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the files' contents if they have changed; called at every handshake."""
        try:
            if self._read_stamps() == self._stamps:
                return None
            found = self.configuration()
        except OSError as error:
            log.error("certificates not reloaded", extra={"error_type": type(error).__name__})
            return None
        log.info("certificates reloaded")
        return found

    def _read_stamps(self) -> list[int]:
        files = (self._key, self._chain, self._authorities)
        return [file.stat().st_mtime_ns for file in files if file]


V1ALPHA = reflection.SERVICE_NAME
_V1_PACKAGE = "grpc.reflection.v1"
_V1_FILE = "grpc/reflection/v1/reflection.proto"
V1 = f"{_V1_PACKAGE}.ServerReflection"
_METHOD = "ServerReflectionInfo"


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let a server tell about services, by their full names, and about reflection itself."""
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer((*services, V1ALPHA, V1))  # type: ignore[attr-defined]
    add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler(V1, {_METHOD: handler})
    server.add_generic_rpc_handlers((handlers,))


def _describe_v1() -> None:
    """Put v1's description, made of v1alpha's, where the servicer looks for it."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_V1_FILE)
    except KeyError:
        old = reflection_pb2.DESCRIPTOR
        file = descriptor_pb2.FileDescriptorProto.FromString(old.serialized_pb)
        _rename(file, f".{old.package}.", f".{_V1_PACKAGE}.")
        file.name, file.package = _V1_FILE, _V1_PACKAGE
        pool.AddSerializedFile(file.SerializeToString())


def _rename(file: descriptor_pb2.FileDescriptorProto, old: str, new: str) -> None:
    for message in file.message_type:
        for field in filter(lambda one: one.type_name, message.field):  # scalars have none
            field.type_name = field.type_name.replace(old, new)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(old, new)
            method.output_type = method.output_type.replace(old, new)
