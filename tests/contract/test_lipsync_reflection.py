"""Reflection, under the name that clients have today and the one they had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.support.lipsync_gateway import Served, serving
from tests.support.lipsync_protos import RPCS, SERVICE, descriptors

Code = grpc.StatusCode
KEYS = {"keys": [{"name": "frames", "key": "key-for-frames", "services": ["lipsync"]}]}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


REFLECTION = "grpc.reflection.{}.ServerReflection"
BOTH = pytest.mark.parametrize("version", ["v1", "v1alpha"])


async def reflect(served: Served, version: str, **asked: str) -> Any:
    """Ask one reflection question as a client of that version's own .proto does: by its names."""
    call = served.channel.stream_stream(
        f"/{REFLECTION.format(version)}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(**asked)]))
    return await call.read()


async def served_names(served: Served, version: str) -> set[str]:
    answer = await reflect(served, version, list_services="")
    return {one.name for one in answer.list_services_response.service}


@BOTH
async def test_reflection_shows_the_documented_interface(served: Served, version: str) -> None:
    names = await served_names(served, version)
    versions = {REFLECTION.format(one) for one in ("v1", "v1alpha")}
    assert names == {SERVICE, "grpc.health.v1.Health", *versions}
    answer = await reflect(served, version, file_containing_symbol=SERVICE)
    (raw_file,) = answer.file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(raw_file)
    (expected,) = descriptors("inference.proto").file
    assert file.service == expected.service
    assert [one.name for one in file.service[0].method] == [*RPCS, "InferStream"]


@BOTH
async def test_every_service_that_reflection_lists_can_be_described(
    served: Served, version: str
) -> None:
    """As tools do that describe a server: each file must build, with all that it names."""
    for name in await served_names(served, version):
        answer = await reflect(served, version, file_containing_symbol=name)
        pool = descriptor_pool.DescriptorPool()
        for raw_file in answer.file_descriptor_response.file_descriptor_proto:
            pool.AddSerializedFile(raw_file)
        service = pool.FindServiceByName(name)
        for method in service.methods:
            kinds = (method.input_type, method.output_type)
            assert {kind.file.package for kind in kinds} == {name.rpartition(".")[0]}


async def test_reflection_of_a_stock_client(served: Served) -> None:
    def look() -> list[str]:
        with grpc.insecure_channel(served.address) as channel:
            return list(ProtoReflectionDescriptorDatabase(channel).get_services())

    assert SERVICE in await asyncio.to_thread(look)


@BOTH
async def test_what_reflection_does_not_know(served: Served, version: str) -> None:
    answer = await reflect(served, version, file_containing_symbol="no.such.Service")
    assert answer.error_response.error_code == Code.NOT_FOUND.value[0]


async def test_reflection_can_be_switched_off(tmp_path: Path) -> None:
    def look(address: str) -> list[str]:
        with grpc.insecure_channel(address) as channel:
            return list(ProtoReflectionDescriptorDatabase(channel).get_services())

    async with serving(tmp_path, server={"reflection": False}) as served:
        with pytest.raises(grpc.RpcError):
            await asyncio.to_thread(look, served.address)


@BOTH
async def test_reflection_needs_no_key(tmp_path: Path, version: str) -> None:
    async with serving(tmp_path, security=KEYS) as served:
        assert SERVICE in await served_names(served, version)
