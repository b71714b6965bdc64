"""Compressed bodies: however they are cut, however large they become."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    BadRequestError,
    BodyTooLargeError,
    ClientGoneError,
    UnsupportedCodingError,
)
from gateway.http.middleware.unpack import Unpack

ABC = gzip.compress(b"abc", mtime=0)  # no time of day in the names of tests


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[:10], mtime=0) + gzip.compress(b"") + gzip.compress(data[10:])


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress), ("GZIP", gzip.compress), ("x-gzip", members),
    ("deflate", zlib.compress), ("deflate", raw_deflate), ("identity", bytes), ("", bytes),
]  # fmt: skip


async def read(coding: str, packed: bytes, cut: int, limit: int = 10**6) -> bytes:
    """Send a body in pieces of ``cut`` bytes and return what the application reads."""
    pieces = [packed[at : at + cut] for at in range(0, len(packed), cut)] or [b""]
    got = b""

    async def receive() -> dict[str, Any]:
        if not pieces:
            return {"type": "http.disconnect"}
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        names = [name for name, _ in scope["headers"]]
        assert coding in ("", "identity") or b"content-encoding" not in names
        more = True
        while more:
            message = await receive()
            got += message["body"]
            more = message["more_body"]
        assert (await receive())["type"] == "http.disconnect"

    scope = {"type": "http", "headers": [(b"content-encoding", coding.encode())]}
    await Unpack(application, limit)(scope, receive, None)  # type: ignore[arg-type]
    return got


@given(
    st.binary(max_size=200) | st.integers(0, 200_000).map(bytes), st.integers(0, 6),
    st.sampled_from([100, 4096, 10**7]),
)  # fmt: skip
async def test_whatever_the_coding_and_the_cuts(data: bytes, kind: int, cut: int) -> None:
    coding, pack = CODINGS[kind]
    assert await read(coding, pack(data), cut) == data


@pytest.mark.parametrize("edge", [2**16 - 1, 2**16, 2**16 + 1, 2**17])
@pytest.mark.parametrize(("coding", "pack"), CODINGS)
async def test_at_the_edge_of_a_piece(
    coding: str, pack: Callable[[bytes], bytes], edge: int
) -> None:
    assert await read(coding, pack(bytes(edge)), 1000) == bytes(edge)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip,", "é"])
async def test_other_codings_are_said_not_to_be_read(coding: str) -> None:
    with pytest.raises(UnsupportedCodingError):
        await read(coding, b"{}", 100)


@pytest.mark.parametrize(
    "packed",
    [
        b"{}",
        ABC[:-1],
        ABC + b"{}",
        gzip.compress(b"a", mtime=0) * 1001,
        ABC[:-8] + b"12345678",
        b"\x1f",
    ],
)
async def test_damaged(packed: bytes) -> None:
    with pytest.raises(BadRequestError):
        await read("gzip", packed, 1000)
    with pytest.raises(BadRequestError):
        await read("deflate", packed, 1000)


async def test_a_bomb_stops_at_the_limit() -> None:
    packed = gzip.compress(bytes(2**28))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            await read("gzip", packed, 2**16)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


async def test_a_client_that_leaves() -> None:
    sent = [{"type": "http.request", "body": ABC[:9], "more_body": True}]

    async def receive() -> dict[str, Any]:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass

    scope = {"type": "http", "headers": [(b"content-encoding", b"gzip")]}
    with pytest.raises(ClientGoneError):
        await Unpack(application, 100)(scope, receive, None)  # type: ignore[arg-type]
