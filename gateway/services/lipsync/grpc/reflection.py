"""Reflection under both of its names: v1alpha, which grpcio has, and v1, which clients ask first.

The two differ in their package alone; messages are the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

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
        for field in filter(lambda field: field.type_name, message.field):  # scalars have none
            field.type_name = field.type_name.replace(old, new)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(old, new)
            method.output_type = method.output_type.replace(old, new)
