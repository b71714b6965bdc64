"""Message classes of both dialects, compiled from the .proto files as any client would."""

from __future__ import annotations

import tempfile
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parents[2] / "gateway/services/lipsync/grpc"
SERVICE = "inference.InferenceService"
RPCS = ("InferBatch", "ListModels", "LoadModel", "UnloadModel", "GetModelStats", "Health")


@lru_cache
def descriptors(name: str) -> descriptor_pb2.FileDescriptorSet:
    """What protoc makes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set"
        code = protoc.main(
            ["protoc", f"-I{FOLDER}", f"--descriptor_set_out={target}", str(FOLDER / name)]
        )
        assert code == 0
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


@lru_cache
def messages(dialect: int) -> Any:
    """The message classes of a dialect, in a descriptor pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    (file,) = descriptors("inference.proto" if dialect == 1 else "inference_v2.proto").file
    pool.Add(file)
    names = [message.name for message in file.message_type]
    return SimpleNamespace(
        **{
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))
            for name in names
        }
    )


class OldClient:
    """A client with the stubs of one dialect, over a channel of grpc or grpc.aio."""

    def __init__(self, channel: Any, dialect: int, headers: dict[str, str] | None = None) -> None:
        metadata = tuple((name.lower(), value) for name, value in (headers or {}).items())
        self.messages = messages(dialect)
        for name in RPCS:
            request = getattr(self.messages, f"{name}Request")
            reply = getattr(self.messages, f"{name}Response")
            call = channel.unary_unary(
                f"/{SERVICE}/{name}", request.SerializeToString, reply.FromString
            )
            setattr(self, name, partial(call, metadata=metadata) if metadata else call)


def raw(channel: Any, rpc: str = "InferBatch") -> Any:
    """The call as bytes in, bytes out."""
    return channel.unary_unary(f"/{SERVICE}/{rpc}")


def secure(address: str, credentials: grpc.ChannelCredentials, name: str) -> grpc.aio.Channel:
    """A TLS channel to a server whose certificate names ``name``."""
    return grpc.aio.secure_channel(
        address, credentials, options=[("grpc.ssl_target_name_override", name)]
    )
