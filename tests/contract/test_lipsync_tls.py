"""TLS and mutual TLS of the gRPC port with certificates made here."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest
import trustme

from tests.support.lipsync_gateway import Served, serving
from tests.support.lipsync_protos import OldClient, secure
from tests.support.waiting import PATIENCE

NAME = "lipsync.example"


class Authority:
    """A certificate authority that writes what a server is configured with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))

    @property
    def root(self) -> bytes:
        return self.ca.cert_pem.bytes()

    def issue(self) -> dict[str, str]:
        """Write a server's certificate and return the settings that name it."""
        leaf = self.ca.issue_cert(NAME)
        key, chain = self.folder / "key.pem", self.folder / "chain.pem"
        leaf.private_key_pem.write_to_path(str(key))
        chain.write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
        return {"key": str(key), "certificate": str(chain)}

    def client(self) -> tuple[bytes, bytes]:
        """A client's key and certificate."""
        leaf = self.ca.issue_cert("client.example")
        return leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def health(served: Served, credentials: grpc.ChannelCredentials) -> bool:
    async with secure(served.address, credentials, NAME) as channel:
        client = OldClient(channel, 1)
        reply = await client.Health(client.messages.HealthRequest(), timeout=PATIENCE)
        return bool(reply.healthy)


async def refused(served: Served, credentials: grpc.ChannelCredentials) -> bool:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(served, credentials)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_tls(tmp_path: Path, authority: Authority) -> None:
    async with serving(tmp_path, server={"tls": authority.issue()}) as served:
        assert await health(served, grpc.ssl_channel_credentials(authority.root))
        strangers = trustme.CA().cert_pem.bytes()
        assert await refused(served, grpc.ssl_channel_credentials(strangers))
        client = served.client(1)
        with pytest.raises(grpc.aio.AioRpcError):  # plaintext
            await client.Health(client.messages.HealthRequest(), timeout=PATIENCE)


async def test_mutual_tls(tmp_path: Path, authority: Authority) -> None:
    settings = {**authority.issue(), "client_ca": str(tmp_path / "ca.pem")}
    async with serving(tmp_path, server={"tls": settings}) as served:
        key, chain = authority.client()
        known = grpc.ssl_channel_credentials(authority.root, key, chain)
        assert await health(served, known)
        assert await refused(served, grpc.ssl_channel_credentials(authority.root))
        stranger = trustme.CA().issue_cert("client.example")
        foreign = grpc.ssl_channel_credentials(
            authority.root, stranger.private_key_pem.bytes(), stranger.cert_chain_pems[0].bytes()
        )
        assert await refused(served, foreign)


async def test_a_renewed_certificate_is_used_without_restart(
    tmp_path: Path, authority: Authority
) -> None:
    async with serving(tmp_path, server={"tls": authority.issue()}) as served:
        assert await health(served, grpc.ssl_channel_credentials(authority.root))
        successor = Authority(tmp_path)
        successor.issue()
        for name in ("key.pem", "chain.pem"):
            os.utime(tmp_path / name, ns=(1, 1))  # another time than before, surely
        assert await health(served, grpc.ssl_channel_credentials(successor.root))
        assert await refused(served, grpc.ssl_channel_credentials(authority.root))
        # An unreadable one leaves the last good one in force.
        (tmp_path / "key.pem").unlink()
        assert await health(served, grpc.ssl_channel_credentials(successor.root))


async def test_an_unreadable_certificate_is_an_error_at_start(
    tmp_path: Path, authority: Authority
) -> None:
    settings = {**authority.issue(), "key": str(tmp_path / "absent.pem")}
    with pytest.raises(ValueError, match=r"lipsync\.server\.tls: No such file"):
        async with serving(tmp_path, server={"tls": settings}):
            pass
